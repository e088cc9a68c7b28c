import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage

/// `mapped-ram save`: saves a running VM into an image, or builds an image from files.
struct SaveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "save",
    abstract: "Save a running VM into an image, or build an image from files.",
    usage: """
      mapped-ram save --qmp <socket> [<options>] <image>
             mapped-ram save --from-directory <directory> [<options>] <image>
             mapped-ram save --machine <type> --vmstate <file> --block <idstr=file> ... <image>
      """,
    discussion: """
      With --qmp, the VM of a QEMU that runs on this machine is saved. It stands still while its memory is read, and goes on \
      before the image is made durable; "capture" is the faster engine, and needs the right to read QEMU's memory \
      (as root, as the same user where kernel.yama.ptrace_scope is 0, or with CAP_SYS_PTRACE). Whatever goes wrong, \
      also if this command is killed or stopped, the VM afterwards runs, or is paused, as before: a watchdog, a process of its own, \
      sees to that, unless it is killed as well, as by what kills a whole control group. A VM that somebody else resumes, migrates \
      or ends meanwhile is left alone, and there is no image. A paused VM that QEMU saves by itself ends in the state postmigrate, \
      from which cont leads on. A VM that goes on writes to its disks, which then no longer fit the image: see --then and --snapshot-disks. What a \
      guest writes to disks of -snapshot is in files without names, and lost when QEMU ends: a warning tells which.

      With --live it runs while its memory is written, in rounds: first all of it, then what has changed since. It stands still \
      for the last round alone, in which capture has to read all memory once more; how long that will take decides when it is \
      paused. Each page costs 16 bytes of memory for its hash.

      From a directory that "mapped-ram restore" made, the image is built as it was: for an image that QEMU wrote of a \
      stopped machine, byte for byte.

      From files of your own, --machine, --vmstate and a --block for each RAMBlock say what the image holds. Relative \
      paths are looked up in --from-directory if that is given. The device state may be a vmstate.bin, or what QEMU's \
      xen-save-devices-state writes.

      With --device, the state of a device that QEMU does not save, or saves one byte after the other, is kept in an area behind \
      the stream: buffers of 1 MiB, read from all devices at the same time as the RAM. QEMU and other readers stop before it. \
      A command is run by /bin/sh; if it ends with another status than 0 the save fails, with its last words.

      The image appears under its name once it is complete and on the disk, in place of what had the name. A block \
      device is written where it is, and with --in-place so is a file; its first eight bytes are written last. Only an image, \
      unless it is known to be of another VM, or an empty file is replaced; anything else needs --force. What the VM itself uses (disks, backing files, memory files) \
      is never replaced, nor a device that is mounted, nor a file that another save writes or another QEMU has as a disk.

      EXAMPLES:
        mapped-ram save --qmp /run/vm.qmp vm.img
        mapped-ram save --qmp /run/vm.qmp --then quit vm.img
        mapped-ram save --qmp /run/vm.qmp --snapshot-disks disks vm.img
        mapped-ram save --qmp /run/vm.qmp --live --max-downtime 100 vm.img
        mapped-ram save --from-directory vm vm.img
        mapped-ram save --from-directory raw --machine pc-q35-10.0 \\
          --vmstate devices.bin --block pc.ram=ram.raw vm.img
        mapped-ram save --from-directory vm --progress json vm.img
        mapped-ram save --qmp /run/vm.qmp --device 'gpu0=|gpu-ctl save 0' vm.img

      On failure nothing is left behind, but a device or file that is written where it is holds no image any more.

      \(ExitStatus.help([
        .badData: "the manifest or the files beside it are not right",
        .unavailable: "QEMU cannot be reached or refuses, or direct I/O was required and is refused",
        .cannotCreate: "the image cannot be made",
        .notPermitted: "something is not permitted, like reading QEMU's memory with --engine capture",
      ], besides: [.negative]))
      """)

  @Argument(
    help: "The image: a file that is made or replaced, or a block device.", completion: .file(),
    transform: { FilePath($0) })
  var image: FilePath

  @OptionGroup(title: "Running VM") var machine: SaveMachine
  @OptionGroup(title: "Live save") var live: LiveArguments
  @OptionGroup(title: "Files") var contents: SaveContents
  @OptionGroup(title: "Devices") var devices: SaveDevices

  @OptionGroup(title: "Transfer options") var channels: ChannelArguments
  @OptionGroup(title: "Output options") var output: OutputArguments

  func validate() throws {
    if machine.qmp == nil, contents.fileOptions.isEmpty {
      throw ValidationError(
        "Nothing says what to save: give --qmp, or --from-directory, or --machine, --vmstate and --block."
      )
    }
    if machine.qmp == nil, let option = live.given.first {
      throw ValidationError(
        "\(option) is for a running VM: give the socket of its QEMU's QMP with --qmp as well.")
    }
    if machine.qmp != nil, let option = contents.fileOptions.first {
      throw ValidationError("\(option) is for an image from files, and --qmp for a running VM.")
    }
    if !devices.device.isEmpty, machine.engine == .qemu {
      throw ValidationError("--device is not for --engine qemu: QEMU saves its own devices alone.")
    }
  }

  func run() throws {
    try CommandRun.perform(output) { (run) throws(CommandError) in
      if let socket = machine.qmp { return try saveVM(socket, run) }
      let planned = try contents.plan(directIO: channels.directIO)
      let plan = try CommandError.image(to: nil) { () throws(ImageError) in
        try planned.with(devices: try devices.saves(besides: planned.devices))
      }
      let report = try save(plan, run)
      return SaveReport(image: image, plan: plan, report: report)
    }
  }

  private func saveVM(
    _ socket: FilePath, _ run: CommandRun
  ) throws(CommandError) -> VMSaveText {
    var save = VMSave(to: image, options: channels.options)
    save.inPlace = isInPlace
    save.replacing = contents.replacing
    save.engine = machine.engine ?? .auto
    save.afterwards = machine.then
    save.live = live.options
    save.maximumDowntime = live.maximumDowntime
    save.watchdogProgram = VMSave.thisProgram
    save.allowsLibvirt = machine.managedByLibvirt
    save.processID = machine.pid
    save.snapshotDirectory = machine.snapshotDisks.map(\.absolute)
    save.devices = try CommandError.image(to: nil) { () throws(ImageError) in
      try devices.saves()
    }
    let report = try sayingWhatIsLeft { () throws(CommandError) in
      try run.transfer("save") { (progress, cancellation) throws(CommandError) in
        try CommandError.vm(to: image) { () throws(VMError) in
          try save.run(
            try VMConnection.open(socket), progress: progress, cancellation: cancellation,
            onWarning: { run.warn($0.description) })
        }
      }
    }
    return VMSaveText(image: image, report: report)
  }

  private func save(_ plan: SavePlan, _ run: CommandRun) throws(CommandError) -> TransferReport {
    if isInPlace, let warning = VMSaveWarning(ofReadersOf: image) {
      run.warn(warning.description)
    }
    return try sayingWhatIsLeft(of: plan.layout.streamOffset) { () throws(CommandError) in
      try run.transfer("save", to: image) { (progress, cancellation) throws(ImageError) in
        try ImageSave(plan, options: channels.options).run(
          to: image, inPlace: isInPlace, replacing: contents.replacing, progress: progress,
          cancellation: cancellation)
      }
    }
  }

  private var isInPlace: Bool { contents.inPlace || File.isBlockDevice(image) }

  /// Runs `body`; an interruption of it that has left no image in a file or device that is written where it is says so.
  private func sayingWhatIsLeft<Value>(
    of streamOffset: FileOffset = .zero, _ body: () throws(CommandError) -> Value
  ) throws(CommandError) -> Value {
    do throws(CommandError) {
      return try body()
    } catch {
      guard isInPlace, error == .image(.cancelled, output: image), !holdsImage(at: streamOffset)
      else { throw error }
      throw .interruptedInPlace(image)
    }
  }

  /// Whether what was there before is there still: its header is the first thing to go.
  private func holdsImage(at streamOffset: FileOffset) -> Bool {
    do {
      let file = try File.open(image, access: .read, directIO: .off)
      let head = try file.readBytes(at: streamOffset.rawValue, count: 16)
      return StreamHeader.isPresent(in: head) || LibvirtHeader.isPresent(in: head)
    } catch {
      return false
    }
  }
}

extension VMSave {
  /// This program, which watches over its own saves (see `MappedRAMCommand.run`).
  static let thisProgram = "/proc/self/exe"
}
