public import ArgumentParser
import LinuxIO
public import MappedRAM
import MappedRAMFormat
public import QEMUControl
import SystemPackage

extension VMSave.Engine: ExpressibleByArgument {}
extension VMSave.LiveMethod: ExpressibleByArgument {}

/// The words of `--then`.
enum AfterSave: String, CaseIterable, ExpressibleByArgument {
  case resume, pause, quit

  var ending: Ending {
    switch self {
    case .resume: .resume
    case .pause: .pause
    case .quit: .quit
    }
  }
}
extension LiveOptions.NotConverging: ExpressibleByArgument {}

/// `mapped-ram save`: saves a running VM into an image.
struct SaveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "save",
    abstract: "Save a running VM into an image.",
    usage: "mapped-ram save [<options>] <socket> <image>",
    discussion: """
      The VM is paused while its memory is read, and resumed before the image is made durable. "capture" is the faster engine; it needs \
      permission to read QEMU's memory (root, the same user where kernel.yama.ptrace_scope is 0, or CAP_SYS_PTRACE). If the save fails, \
      or this command is killed, the VM returns to the state that it was in, running or paused, and no image appears: a watchdog process \
      sees to that, unless it is killed as well, as by what kills a whole control group. A VM that another client resumes, migrates or \
      ends during the save is left alone, and there is no image. A paused VM that QEMU saves by itself ends in the state postmigrate, \
      from which cont resumes it. A VM that is resumed writes to its disks, which then no longer match the image: see --then and \
      --snapshot-disks. What a guest writes to disks of -snapshot is in files without names, and lost when QEMU ends: a warning names \
      these disks.

      With --live the VM runs while its memory is written. Where it can, capture pauses the VM for some milliseconds, in which QEMU \
      protects the guest's memory (its background snapshot, which needs userfaultfd): from then on QEMU sends each page that the guest \
      is about to change, and the image is of that moment, whatever the guest writes. Otherwise memory is written in rounds: first all \
      of it, then what has changed since. The VM is paused only for the last round, in which capture has to read all memory once \
      more; how long that will take decides when it is paused. Each page costs 16 bytes of memory for its hash then. Where reading takes \
      longer than --max-downtime, and QEMU's own live save is expected to keep it, QEMU begins anew, unless --engine or --live-method \
      says otherwise. The report says which way was taken, and why.

      With --device, the state of a device that QEMU does not save, or saves one byte after the other, is kept in an area behind \
      the stream: buffers of 1 MiB, read from all devices in parallel with the RAM. QEMU and other readers stop before it. \
      A command is run by /bin/sh; if it ends with a status other than 0 the save fails, with its last words.

      \(OutputImageArguments.appearance) What the VM itself uses (disks, \
      backing files, memory files) is never replaced, nor a device that is mounted, nor a file that another save writes or another QEMU \
      has as a disk.

      EXAMPLES:
        mapped-ram save /run/vm.qmp vm.img
        mapped-ram save --then quit /run/vm.qmp vm.img
        mapped-ram save --base monday.img /run/vm.qmp tuesday.img
        mapped-ram save --snapshot-disks disks /run/vm.qmp vm.img
        mapped-ram save --live --max-downtime 100 /run/vm.qmp vm.img
        mapped-ram save --device 'gpu0=|gpu-ctl save 0' /run/vm.qmp vm.img

      \(OutputImageArguments.onFailure)

      \(ExitStatus.help([
        .unavailable: "QEMU cannot be reached or refuses, or direct I/O was required and is refused",
        .cannotCreate: "the image cannot be created",
        .notPermitted: "not permitted, such as reading QEMU's memory with --engine capture",
      ], besides: [.negative]))
      """)

  @Argument(
    help: "The QMP socket of the VM's QEMU.", completion: .file(), transform: { FilePath($0) })
  var socket: FilePath

  @Argument(help: OutputImageArguments.image, completion: .file(), transform: FilePath.image)
  var image: FilePath

  @OptionGroup(title: "VM") var machine: SaveMachine
  @OptionGroup(title: "Live save") var live: LiveArguments
  @OptionGroup(title: "Image") var layout: SaveLayout
  @OptionGroup(title: "Image") var target: OutputImageArguments
  @OptionGroup(title: "Devices") var devices: DeviceSaveArguments
  @OptionGroup(title: "Transfer") var transfer: TransferArguments
  @OptionGroup(title: "Common options") var output: OutputArguments
  @OptionGroup(title: "Expert options") var channels: ChannelArguments
  @OptionGroup(title: "Expert options") var process: ProcessArgument
  @OptionGroup(title: "Expert options") var sections: DeviceSectionArguments

  func validate() throws {
    if !devices.device.isEmpty, machine.engine == .qemu {
      throw ValidationError("--device is not for --engine qemu: QEMU saves only its own devices.")
    }
    if let layout = layout.layout, layout != .qemu, machine.engine == .qemu {
      throw ValidationError(
        "--layout \(layout.rawValue) is not for --engine qemu: QEMU writes only the layout 1M.")
    }
    if layout.base != nil, machine.engine == .qemu {
      throw ValidationError("--base is not for --engine qemu: QEMU writes all pages.")
    }
    if layout.base != nil, layout.noChecksums {
      throw ValidationError("--base goes by checksums: leave --no-checksums out.")
    }
    if layout.base != nil, target.inPlace {
      throw ValidationError("--base is for a new file: leave --in-place out.")
    }
    if machine.snapshotDisks != nil, machine.then == .quit, !live.live {
      throw ValidationError(
        "--snapshot-disks is for a VM that is resumed or saved live; with --then quit nothing writes to the disks any more."
      )
    }
    try sections.check(devices.device)
  }
}

/// Where the page slots are to begin in the image.
struct SaveLayout: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Where each block's pages begin. \(SlotLayout.help) (default: \(VMSave.capturedLayout.rawValue) by capture; QEMU itself \
      writes only 1M)
      """, valueName: "layout"))
  var layout: SlotLayout?

  @Flag(
    help: """
      Put nothing behind QEMU's stream: no checksums, by which "mapped-ram verify" finds damage, and nothing about the VM and its disks, \
      which "mapped-ram restore" compares. (For pages that QEMU itself writes, or sends during a live save, checksums are computed from the \
      image once the VM runs again.)
      """)
  var noChecksums = false

  @Option(
    help: ArgumentHelp(
      """
      An earlier image of the VM. On a file system that can share blocks (XFS, btrfs), the new one shares with it what has not changed, in \
      pieces of 64 KiB; it is whole by itself. Elsewhere it is a full image, and the report says why.
      """, valueName: "image"), completion: .file(), transform: FilePath.image)
  var base: FilePath?
}

/// The options of `mapped-ram save` about the VM.
struct SaveMachine: ParsableArguments {
  @Option(
    help: """
      Who writes the image. capture: mapped-ram reads the guest's memory from outside. qemu: QEMU writes the file, which \
      cannot be a block device. auto: capture where that is possible and permitted, else qemu; live, the one that keeps --max-downtime.
      """)
  var engine = VMSave.Engine.auto

  @Option(
    help:
      "What to do with the VM afterwards. (default: resume it if it was running, else leave it paused)"
  )
  var then: AfterSave?

  @Option(
    help: ArgumentHelp(
      """
      While the VM is paused, take external snapshots of all its writable disks, with new files in this directory: the \
      disk files that it used until then belong to the image and are not written any more.
      """, valueName: "directory"),
    completion: .directory, transform: { FilePath($0) })
  var snapshotDisks: FilePath?

  @Flag(
    help: """
      Save a VM that libvirt manages, too. libvirt then sees another client pause and resume it. (By default such a VM \
      is refused: use virsh save.)
      """)
  var managedByLibvirt = false

}

/// The options of `mapped-ram save` that are for a live save.
struct LiveArguments: ParsableArguments {
  @Flag(
    help: """
      Save while the VM runs: all memory is written, then again and again what has changed since, and the VM is paused only for \
      the last round.
      """)
  var live = false

  @Option(
    help: ArgumentHelp(
      """
      How long the VM may be paused, in milliseconds. With --live it is what the rounds aim at. (default: \(Defaults.pause)) \
      Without, the VM is resumed when it is over, and the save fails. (default: a minute and a second for each 25 MiB of RAM, or half \
      a minute in which nothing moves)
      """,
      valueName: "ms"))
  var maxDowntime: Int?

  @Option(
    help: ArgumentHelp(
      "Rounds while the VM runs, at most; \(Limits.rounds). (default: \(Defaults.rounds))",
      valueName: "number"))
  var maxRounds: Int?

  @Option(
    help: """
      How capture saves a VM that runs. snapshot: as it is at one moment, with QEMU's background snapshot. rounds: until little has \
      changed since. auto: snapshot where that is possible, else rounds, or with --engine auto QEMU's own.
      """)
  var liveMethod: VMSave.LiveMethod?

  @Option(
    help: """
      What to do if the guest dirties memory faster than it can be written, so that further rounds do not help: pause the VM for \
      longer, or fail and leave it running. (default: pause)
      """)
  var ifNotConverging: LiveOptions.NotConverging?

  /// The limits as the help and the errors name them.
  enum Limits {
    static let rounds =
      "\(LiveOptions.roundsRange.lowerBound) to \(LiveOptions.roundsRange.upperBound)"
    /// A day: longer than any pause that deserves the name.
    static let pause = 0...86_400_000
  }

  private enum Defaults {
    static let pause = Int(LiveOptions().maximumDowntime.wholeMilliseconds)
    static let rounds = LiveOptions().maximumRounds
  }

  /// The options that are given.
  var given: [String] {
    [
      ("--live", live), ("--max-downtime", maxDowntime != nil), ("--max-rounds", maxRounds != nil),
      ("--live-method", liveMethod != nil),
      ("--if-not-converging", ifNotConverging != nil),
    ].filter(\.1).map(\.0)
  }

  func validate() throws {
    if !live, let option = given.first(where: { $0 != "--max-downtime" }) {
      throw ValidationError("\(option) is for a live save: give --live as well.")
    }
    if let maxDowntime, !Limits.pause.contains(maxDowntime) {
      throw ValidationError(
        "--max-downtime is \(maxDowntime); expected \(Limits.pause.lowerBound) to \(Limits.pause.upperBound)."
      )
    }
    if !live, maxDowntime == 0 {
      throw ValidationError(
        "--max-downtime is 0, in which nothing can be saved; give --live as well, or more time.")
    }
    if let maxRounds, !LiveOptions.roundsRange.contains(maxRounds) {
      throw ValidationError("--max-rounds is \(maxRounds); expected \(Limits.rounds).")
    }
  }

  /// The options, once they have been validated; `nil` for a VM that is paused.
  func options(_ transfer: TransferArguments) -> LiveOptions? {
    guard live else { return nil }
    return LiveOptions(
      maximumDowntime: .milliseconds(maxDowntime ?? Defaults.pause),
      maximumRounds: maxRounds ?? Defaults.rounds, bytesPerSecond: transfer.maxBandwidth?.byteCount,
      ifNotConverging: ifNotConverging ?? .pause)
  }

  /// How long a VM may be paused that is not saved live, if that is given.
  var maximumDowntime: Duration? { live ? nil : maxDowntime.map { .milliseconds($0) } }
}
