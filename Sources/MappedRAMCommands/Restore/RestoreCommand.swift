import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// `mapped-ram restore`: puts an image into a VM, or takes it apart into files.
struct RestoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Put an image into a VM, or take it apart into files.",
    usage: """
      mapped-ram restore [<options>] <image> -- qemu-system-<target> <arguments>
             mapped-ram restore [<options>] <image> --qmp <socket>
             mapped-ram restore [<options>] <image> --to-directory <directory>
      """,
    discussion: """
      With a QEMU behind --, that is started and the image restored into it. Give it the arguments with which the VM was \
      started; what a restore needs is added. The VM then is as if QEMU had been run directly: it has the terminal, signals \
      go to it, and the command ends with QEMU's status. With --qmp the image goes into a QEMU that waits with -incoming defer. \
      Before anything is touched the VM is compared with the image, and all differences are named.

      --engine map takes milliseconds, whatever the size of the RAM: the guest reads pages from the image as it touches them, \
      and keeps what it writes to itself. The image must be kept, and stay as it is, while the VM runs. Many can run on one \
      image; they share the guest's random state, network identity and disks unless their arguments differ. Memory that a \
      balloon gives back stays in use. A QEMU that waits already must have been started with its memory from the image.

      With --to-directory, writes the memory of each RAMBlock as a raw file named after it (pc.ram.ram; bytes that are not safe in a file \
      name as %2F), with holes where pages are zero, the device state as vmstate.bin, and image.json with all else that \
      "mapped-ram save" needs to build the image again, byte for byte. All files appear together once all are complete.

      With --device, the state of a device that stands behind the image's stream goes to a file or a command instead of the \
      directory, or beside the VM; in order, while the RAM is being restored. A command is run by /bin/sh.

      EXAMPLES:
        mapped-ram restore vm.img -- qemu-system-x86_64 -machine q35 -m 4G -drive file=disk.qcow2
        mapped-ram restore --engine map --detach vm.img -- qemu-system-x86_64 -machine q35 -m 4G
        mapped-ram restore vm.img --qmp /run/vm.qmp
        mapped-ram restore vm.img --to-directory vm
        mapped-ram restore vm.img --to-directory vm --block pc.ram
        mapped-ram restore vm.img --to-directory vm --json --progress none
        mapped-ram restore vm.img --qmp /run/vm.qmp --device 'gpu0=|gpu-ctl load 0'

      On failure nothing is left behind: no files, and no QEMU that was started. A QEMU that waited already is of no use any \
      more if the restore fails in the middle.

      \(ExitStatus.help([
        .negative: "the VM is not the one that the image needs",
        .usage: "the command line is not right, or there is no such RAMBlock",
        .badData: "the image is damaged, incomplete or none at all",
        .unavailable: "QEMU cannot be started or reached, or refuses, or direct I/O was required and is refused",
        .cannotCreate: "the directory or a file in it cannot be made",
      ], besides: [.incomplete]))
      """)

  @Argument(
    help: "The image: a file of QEMU's or libvirt's, or a block device.", completion: .file(),
    transform: { FilePath($0) })
  var image: FilePath

  @OptionGroup(title: "VM") var machine: RestoreMachine
  @OptionGroup(title: "Files") var contents: RestoreContents
  @OptionGroup(title: "Devices") var devices: RestoreDevices
  @OptionGroup(title: "Transfer options") var channels: ChannelArguments
  @OptionGroup(title: "Output options") var output: OutputArguments

  func validate() throws {
    if machine.isWanted, let option = contents.given.first {
      throw ValidationError("\(option) is for files, and \(machine.given[0]) for a VM.")
    }
    if !machine.isWanted, contents.toDirectory == nil {
      throw ValidationError(
        "Nothing says where the image is to go: give a QEMU to start behind --, or --qmp, or --to-directory."
      )
    }
  }

  func run() throws {
    guard let directory = contents.toDirectory else {
      try VMRestoreRun(
        image: image, streamOffset: contents.streamOffset, machine: machine, devices: devices,
        replacing: contents.replacing, channels: channels, output: output
      )()
      return
    }
    try CommandRun.perform(output) { (run) throws(CommandError) in
      let outcome = try run.transfer("restore", to: directory) {
        (progress, cancellation) throws(ImageError) in
        let file = try open()
        let restore = ImageRestore(
          file, streamOffset: contents.streamOffset,
          options: channels.options)
        var apart = DirectoryRestore(
          restore, to: directory,
          selection: contents.block.isEmpty ? nil : contents.block)
        apart.replacing = contents.replacing
        apart.devices = try devices.targets(replacing: contents.replacing)
        return try apart.run(progress: progress, cancellation: cancellation)
      }
      return RestoreReport(image: image, directory: directory, outcome: outcome)
    }
  }

  private func open() throws(ImageError) -> File {
    try ImageFile(opening: image, directIO: channels.directIO).file
  }
}

/// The options of `mapped-ram restore` that say what goes where.
struct RestoreContents: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Where the files go. The directory is made if it is not there. What an earlier restore has made in it is replaced; other files need --force.",
      valueName: "directory"),
    completion: .directory, transform: { FilePath($0) })
  var toDirectory: FilePath?

  @Option(
    help: ArgumentHelp(
      "Restore only this RAMBlock, and neither the device state nor image.json. May be repeated.",
      valueName: "idstr"))
  var block: [String] = []

  @Option(
    help: ArgumentHelp(
      "Where the stream begins in the file (default: where libvirt's header says, or 0).",
      valueName: "bytes"))
  var offset: ByteSize?

  @Flag(
    help: """
      Replace files that are there already, whatever made them. (By default only what an image.json beside them names, and \
      empty files.)
      """)
  var force = false

  /// What files may replace.
  var replacing: Replacing { force ? .anything : .images }

  /// Where the stream begins, if that is given.
  var streamOffset: FileOffset? { offset.map { FileOffset($0.byteCount) } }

  /// The options that are given and belong to files alone.
  var given: [String] {
    [("--to-directory", toDirectory != nil), ("--block", !block.isEmpty)].filter(\.1).map(\.0)
  }
}
