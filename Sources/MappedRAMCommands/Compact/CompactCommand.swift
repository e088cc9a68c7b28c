import ArgumentParser
import SystemPackage

/// `mapped-ram compact`: punches out of an image what means nothing.
struct CompactCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compact",
    abstract: "Free the disk space that an image uses for old versions of pages.",
    discussion: """
      A live save by QEMU leaves older versions of pages that became zero in their slots. They mean nothing, but use disk space, and \
      each VM that runs on the image (restore --engine map) has to hide them in memory of its own. This makes holes of them. The \
      image means the same as before to every reader, though its bytes differ; it can be interrupted at any moment.

      An image on which a VM runs, or which a save is writing, is refused.

      EXAMPLES:
        mapped-ram compact vm.img

      \(ExitStatus.help([
        .badData: "the file is not an image, or damaged, and was not changed",
        .cannotCreate: "a VM runs on the image, or another process is writing it",
      ], besides: [.negative, .incomplete, .unavailable]))
      """)

  @Argument(
    help: "The image: a file that QEMU, libvirt or mapped-ram wrote, or a block device.",
    completion: .file(), transform: FilePath.image)
  var image: FilePath

  @OptionGroup(title: "Common options") var output: OutputArguments
  @OptionGroup(title: "Expert options") var offset: OffsetArgument
}
