import ArgumentParser
import SystemPackage

/// `mapped-ram diff`: compares the contents of two images, or of an image and a VM.
struct DiffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Compare the contents of two images, or of an image and a running VM.",
    discussion: """
      Compares the machine types, the RAMBlocks with their pages, and the state of each device, field by field where the images \
      describe it. Layout, container, capabilities and checksums are no contents, and an absent page is one of zeros: an image \
      and what "mapped-ram unpack" and "pack" make of it are equal.

      Where both images have checksums, these are compared, which takes milliseconds: they tell what was saved, by chunks of 64 KiB. \
      Otherwise, and with --contents, the pages are read, at the speed of the disk, and each that differs is found.

      With a VM's QMP socket in place of the second image the VM is paused, its memory is read from outside as for a save by capture, \
      and it is resumed if it was running: what has changed since the image was saved? Nothing is written.

      EXAMPLES:
        mapped-ram diff monday.img tuesday.img
        mapped-ram diff vm.img vm.qmp
        mapped-ram diff --pages --contents monday.img tuesday.img
        mapped-ram diff --json a.img b.img | jq '.blocks[] | {idstr, differingPages}'

      \(ExitStatus.help([
        .success: "they are equal",
        .negative: "they differ",
        .badData: "one of the files is no image, or is damaged",
        .unavailable: "direct I/O was required and is refused",
      ], besides: [.incomplete, .cannotCreate]))
      """)

  @Argument(
    help: "An image: a file that QEMU, libvirt or mapped-ram wrote, or a block device.",
    completion: .file(), transform: FilePath.image)
  var first: FilePath

  @Argument(
    help: "The image that it is compared with, or the QMP socket of a VM.", completion: .file(),
    transform: FilePath.image)
  var second: FilePath

  @OptionGroup(title: "Output") var form: DiffForm
  @OptionGroup(title: "Transfer") var transfer: TransferArguments
  @OptionGroup(title: "Common options") var output: OutputArguments
  @OptionGroup(title: "Options for a VM") var machine: DiffMachine
  @OptionGroup(title: "Expert options") var channels: ChannelArguments
  @OptionGroup(title: "Expert options") var process: ProcessArgument
}

/// The options of `mapped-ram diff` about a VM.
struct DiffMachine: ParsableArguments {
  @Flag(
    help: """
      Compare with a VM that libvirt manages, too. libvirt then sees another client pause and resume it.
      """)
  var managedByLibvirt = false
}

/// What `mapped-ram diff` compares and shows.
struct DiffForm: ParsableArguments {
  @Flag(help: "Read the pages although both images have checksums, and name each that differs.")
  var contents = false

  @Flag(help: "Show a map of each RAMBlock that differs. JSON always has the ranges of pages.")
  var pages = false
}
