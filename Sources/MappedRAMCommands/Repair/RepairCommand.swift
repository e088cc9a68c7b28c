import ArgumentParser
import SystemPackage

/// `mapped-ram repair`: puts back what is damaged in an image.
struct RepairCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "repair",
    abstract: "Repair a damaged image from a copy or an older image of the VM.",
    discussion: """
      Checks the image as "mapped-ram verify" does, looks for what is damaged in the others, writes it into the image where it is, and \
      checks it again. What is taken is found by its checksum: a page, the state of a device or a page bitmap is written only if it is \
      exactly what was saved, and nothing that is whole is written to. So another image of the same VM may help as well as a copy: in any \
      layout, from before or after, with or without checksums, damaged itself, or a directory that "mapped-ram unpack" made. It is \
      only read. What stands behind QEMU's stream (checksums, what closes them) comes from a copy of the same layout, or is made anew \
      of what is there.

      It can be interrupted at any moment: the image is no worse than before. An image on which a VM runs, or which a save is writing, is \
      refused. On a disk with sectors that cannot be read, copy what can be read to another one first (ddrescue), and repair the copy.

      EXAMPLES:
        mapped-ram repair vm.img --from /backup/vm.img
        mapped-ram repair vm.img --from yesterday.img --from parts
        mapped-ram repair --json vm.img --from copy.img | jq .remaining

      \(ExitStatus.help([
        .success: "the image is whole now",
        .negative: "something stays damaged",
        .usage: "usage error, or the image itself is given to be repaired from",
        .badData: "the file is no image, its checksums are another image's, or a directory has no image's parts",
        .unavailable: "the image has no checksums, or direct I/O was required and is refused",
        .cannotCreate: "a VM runs on the image, or another process is writing it",
      ], besides: [.incomplete]))
      """)

  @Argument(
    help: "The image: a file that QEMU, libvirt or mapped-ram wrote, or a block device.",
    completion: .file(), transform: FilePath.image)
  var image: FilePath

  @Option(
    help: ArgumentHelp(
      "An image, or a directory of \"mapped-ram unpack\", to take contents from. May be repeated: the first that has them is taken.",
      valueName: "other"),
    completion: .file(), transform: { FilePath($0) })
  var from: [FilePath]

  @OptionGroup(title: "Transfer") var transfer: TransferArguments
  @OptionGroup(title: "Common options") var output: OutputArguments
  @OptionGroup(title: "Expert options") var channels: ChannelArguments
  @OptionGroup(title: "Expert options") var offset: OffsetArgument
}
