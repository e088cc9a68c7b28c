import Foundation
import Glibc
package import SystemPackage

/// A stock QEMU under the control of a test, killed when the last reference goes.
///
/// It runs with `-nodefaults`, by TCG unless KVM is asked for; its serial port goes to a file. The harness speaks QMP
/// over QEMU's standard input and output; a second QMP is at `qmpSocket` for the code under test.
package final class QEMU {
  /// What is to be started.
  package struct Configuration: Sendable {
    /// The machine type with its options.
    package var machine = "q35"
    /// The RAM's size.
    package var mebibytes = 16
    /// The guest; without one the VM has QEMU's own firmware.
    package var guest: BootSectorGuest?
    /// Whether it waits for `load` before it runs anything.
    package var incoming = false
    /// Whether it waits for `resume` before it runs anything.
    package var paused = false
    /// The number of virtual processors.
    package var processors = 1
    /// More arguments; `{directory}` in them stands for the VM's own directory.
    package var arguments: [String] = []
    /// The user and group that QEMU runs as, by number, with no privilege; nil for this process's. It must be able to
    /// read what `arguments` name: a Linux guest in root's home it is not.
    package var user: UInt32?
    /// What runs the guest's processors.
    package var accelerator = Accelerator.tcg
    /// The program.
    package var program = "qemu-system-x86_64"

    /// A q35 of 16 MiB that runs no guest of ours.
    package init() {}

    /// A q35 of `mebibytes` that runs `guest`.
    package init(guest: BootSectorGuest, mebibytes: Int) {
      self.guest = guest
      self.mebibytes = mebibytes
    }

    /// The same VM as one that waits for an image.
    package var destination: Configuration {
      var copy = self
      copy.incoming = true
      return copy
    }
  }

  /// What runs a guest's processors.
  package enum Accelerator: String, Sendable {
    case tcg
    /// The host's processors; they must have all that the model of the guest's has, without which QEMU says a word of warning.
    case kvm

    /// QEMU's arguments.
    package var arguments: [String] {
      switch self {
      case .tcg: ["-accel", "tcg"]
      case .kvm: ["-accel", "kvm", "-cpu", "qemu64,-pni"]
      }
    }
  }

  /// Whether the guest of the tests runs under KVM here.
  ///
  /// There are kinds of it that do not run everything: whether there is a device says little.
  package static let hasKVM: Bool = {
    guard isAvailable else { return false }
    var configuration = Configuration(guest: BootSectorGuest(end: 0x18_0000), mebibytes: 8)
    configuration.accelerator = .kvm
    do {
      try QEMU(configuration).waitForGuestLines(1)
      return true
    } catch {
      return false
    }
  }()

  /// What was started.
  package let configuration: Configuration
  /// The VM's files: `serial`, `qmp`, `firmware.bin`, `log`.
  package let directory: TemporaryDirectory
  /// The process, for reading its memory from outside. It is this object's to end.
  package let processID: Int32
  let qmp: QMPClient
  private let process: Process
  private let input: Pipe
  private let output: Pipe

  /// The QMP socket for the code under test: one client at a time.
  package var qmpSocket: FilePath { directory.file("qmp") }

  /// Whether `qemu-system-x86_64` 9.0 or newer is there (`Tests/install-qemu` brings it).
  package static let isAvailable: Bool = {
    guard let result = try? Subprocess.run(["qemu-system-x86_64", "--version"]) else {
      return false
    }
    let word = result.text.split(separator: " ").dropFirst(3).first ?? "0"
    return (Int(word.prefix { $0.isNumber }) ?? 0) >= 9
  }()

  /// Starts QEMU and connects.
  /// - Throws: `HarnessError` with what QEMU said.
  package init(_ configuration: Configuration) throws {
    self.configuration = configuration
    directory = try TemporaryDirectory()
    // An end for a QEMU that a crashed test leaves: ten minutes of processor time.
    var arguments = ["--cpu=600"]
    if let user = configuration.user {
      arguments += Unprivileged.prefix(user: user)
      try directory.give(to: user)
    }
    arguments += [configuration.program] + configuration.accelerator.arguments
    arguments += [
      "-nodefaults", "-display", "none", "-machine", configuration.machine, "-m",
      "\(configuration.mebibytes)M", "-qmp", "stdio",
      "-qmp", "unix:\(directory.file("qmp")),server=on,wait=off",
      "-serial", "file:\(directory.file("serial"))",
    ]
    if let guest = configuration.guest {
      try guest.write(to: directory.file("firmware.bin"))
      arguments += ["-bios", directory.file("firmware.bin").string]
    }
    if configuration.incoming { arguments += ["-incoming", "defer"] }
    if configuration.paused { arguments += ["-S"] }
    if configuration.processors != 1 { arguments += ["-smp", "\(configuration.processors)"] }
    let own = directory.path.string
    arguments += configuration.arguments.map {
      $0.replacingOccurrences(of: "{directory}", with: own)
    }

    let log = directory.file("log").string
    _ = FileManager.default.createFile(atPath: log, contents: nil)
    process = Process()
    input = Pipe()
    output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/prlimit")
    process.arguments = arguments
    process.standardInput = input
    process.standardOutput = output
    process.standardError = FileHandle(forWritingAtPath: log)
    // A write to a QEMU that has ended must be an error, not the end of the tests.
    signal(SIGPIPE, SIG_IGN)
    do {
      try process.run()
    } catch {
      throw HarnessError("prlimit did not start: \(error)")
    }
    processID = process.processIdentifier
    do {
      qmp = try QMPClient(
        input: FileDescriptor(rawValue: output.fileHandleForReading.fileDescriptor),
        output: FileDescriptor(rawValue: input.fileHandleForWriting.fileDescriptor))
    } catch {
      Self.end(process)
      throw HarnessError("\(error); QEMU said: \(Self.text(log))")
    }
  }

  deinit {
    Self.end(process)
  }

  private static func end(_ process: Process) {
    guard process.isRunning else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  private static func text(_ path: String) -> String {
    String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
  }

  /// What QEMU wrote to standard error so far.
  package var log: String { Self.text(directory.file("log").string) }

  /// What the guest wrote to its serial port so far.
  package var serial: String { Self.text(directory.file("serial").string) }

  /// Sends a QMP command and gives what it returns: a dictionary, an array, a string or a number.
  /// - Throws: `HarnessError` with QEMU's message.
  @discardableResult
  package func execute(_ command: String, _ arguments: [String: Any] = [:]) throws -> Any {
    do {
      return try qmp.execute(command, arguments)
    } catch let error as HarnessError {
      throw log.isEmpty ? error : HarnessError("\(error); QEMU said: \(log)")
    }
  }

  /// Waits until `condition` holds, asking it every few milliseconds.
  /// - Throws: `HarnessError` after `seconds`, with `what` in it.
  package func wait(
    for what: String, seconds: Double = 60, until condition: () throws -> Bool
  ) throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while try !condition() {
      guard ContinuousClock.now < deadline else {
        throw HarnessError("waited \(seconds) s for \(what); QEMU said: \(log)")
      }
      Thread.sleep(forTimeInterval: 0.005)
    }
  }

  /// Ends QEMU the orderly way and waits for it.
  package func quit() throws {
    _ = try? qmp.execute("quit", [:])
    try wait(for: "QEMU to end") { !process.isRunning }
  }

  /// Whether the process is there.
  package var isRunning: Bool { process.isRunning }
}
