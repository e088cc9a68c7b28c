import Foundation
package import SystemPackage

/// A real Linux with the init of `Tests/Guest/init`: it boots in some 4 seconds, and then prints some
/// 15 ticks a second, which show whether its memory, its disk and its network are whole.
///
/// `Tests/install-qemu` makes it, from Debian's packages.
package struct LinuxGuest: Sendable {
  /// The size of the file in the guest's memory whose sum it prints, in MiB; also random data, so that
  /// an image holds at least as much.
  package var fill = 4
  /// RAM, in MiB; at least 128.
  package var mebibytes = 256
  /// The number of virtual processors.
  package var processors = 2
  /// The machine: `q35`, `pc`, `microvm`, with options.
  package var machine = "q35"
  /// Whether it has a network card.
  package var hasNetwork = true

  /// A q35 with two processors and a network card.
  package init() {}

  /// The VM with this guest.
  /// - Parameter disk: a raw file of at least 32 KiB, or none.
  package func configuration(disk: FilePath?) -> QEMU.Configuration {
    var configuration = QEMU.Configuration()
    configuration.machine = machine
    configuration.mebibytes = mebibytes
    configuration.processors = processors
    var words = "console=ttyS0 quiet loglevel=1 panic=-1 memhp_default_state=online fill=\(fill)"
    // Without a better clock Linux measures its own against the PIT, gives up where the host is busy, and hangs: 5 boots
    // of 8 did, none once it was told a value, which need not be right.
    if machine.hasPrefix("microvm") { words += " tsc_early_khz=2000000" }
    configuration.arguments = [
      "-kernel", Self.directory.appending("vmlinuz").string,
      "-initrd", Self.directory.appending("initramfs").string, "-append", words, "-no-reboot",
    ]
    if let disk { configuration.addDisk(disk) }
    if hasNetwork { configuration.addNetwork() }
    return configuration
  }

  /// One line that the guest prints in each of its rounds.
  package struct Tick: Equatable, Sendable {
    /// Ticks so far, this one included.
    package var count: Int
    /// The sum of the file in memory.
    package var sum: String
    /// `ok`, `bad`, or `none` where there is no disk.
    package var disk: String
    /// `ok`, `bad`, or `none` where there is no network card.
    package var network: String

    /// Reads a line; nil where it is no tick.
    init?(_ line: Substring) {
      let words = line.split(separator: " ", omittingEmptySubsequences: false)
      guard words.count == 8, words[0] == "tick", words[2] == "md5", words[4] == "disk",
        words[6] == "net", let count = Int(words[1]), words[3].utf8.count == 32
      else { return nil }
      self.count = count
      (sum, disk, network) = (String(words[3]), String(words[5]), String(words[7]))
    }
  }

  /// The ticks of `text`, which is what guests printed one after the other on their serial ports, from the boot on. A last
  /// line without its end does not count.
  ///
  /// - Throws: `HarnessError` at the first line past the boot that is no tick, that leaves a gap in the counts or repeats
  ///   one, that has another sum than the first, or that finds the disk or the network bad or gone.
  package static func ticks(of text: String) throws -> [Tick] {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
    guard let ready = lines.firstIndex(where: { $0.hasPrefix("ready ") }) else { return [] }
    var ticks: [Tick] = []
    for line in lines[(ready + 1)...] {
      guard let tick = Tick(line) else { throw HarnessError("the guest printed “\(line)”") }
      let first = ticks.first ?? tick
      guard tick.count == ticks.count + 1, tick.sum == first.sum, tick.disk != "bad",
        tick.network != "bad", tick.disk == first.disk, tick.network == first.network
      else { throw HarnessError("tick \(ticks.count + 1) is “\(line)”, the first is \(first)") }
      ticks.append(tick)
    }
    return ticks
  }

  /// Where `Tests/Guest/make-linux` leaves the guest.
  static let directory: FilePath = {
    let environment = ProcessInfo.processInfo.environment
    if let own = environment["MAPPED_RAM_GUEST"] { return FilePath(own) }
    let cache = environment["XDG_CACHE_HOME"] ?? NSHomeDirectory() + "/.cache"
    return FilePath(cache).appending("mapped-ram-tests/linux")
  }()

  /// Whether the guest is there, of today's init (`Tests/install-qemu` brings it).
  package static let isAvailable: Bool = {
    let make = Repository.file("Tests/Guest/make-linux").string
    return QEMU.isAvailable && (try? Subprocess.run([make, "--is-current"]).status) == 0
  }()
}

extension QEMU {
  /// The ticks of the Linux guest so far, if it has booted here.
  package func ticks() throws -> [LinuxGuest.Tick] { try LinuxGuest.ticks(of: serial) }

  /// Waits until the guest has printed `count` more ticks here, whether it has booted here or not.
  package func waitForMoreTicks(_ count: Int) throws {
    let now = endedTicks
    try wait(for: "\(count) more ticks of the guest") { endedTicks >= now + count }
  }

  /// The whole ticks here; one that began elsewhere is none.
  private var endedTicks: Int {
    serial.split(separator: "\n", omittingEmptySubsequences: false).dropLast().count {
      $0.hasPrefix("tick ")
    }
  }
}
