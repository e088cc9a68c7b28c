import ArgumentParser
import SystemPackage

/// `mapped-ram seal`: puts checksums into an image that has none.
struct SealCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "seal",
    abstract: "Put checksums into an image that has none.",
    discussion: """
      Reads an image that QEMU or libvirt wrote, and puts checksums of its contents behind QEMU's stream, where QEMU and libvirt do not \
      look. From then on "mapped-ram verify" finds damage. What was damaged before cannot be known: seal an image when it is new. (One that \
      "mapped-ram save" writes has checksums.)

      The stream is not changed, and the image can be used whenever this ends: if it is interrupted, or the disk is full, it reads as it did \
      before. An image on which a VM runs, or which a save is writing, is refused.

      With --copy, the image itself is left as it is, to the byte, and the copy gets the checksums. On a file system that can share blocks \
      (XFS, btrfs) it takes hardly any room.

      EXAMPLES:
        mapped-ram seal vm.img
        mapped-ram seal --copy sealed.img /var/lib/libvirt/qemu/save/vm.save

      \(ExitStatus.help([
        .success: "the image has checksums now, or had them already",
        .badData: "the file is not an image, or damaged or incomplete, and was not changed",
        .cannotCreate: "a VM runs on the image, another process is writing it, or something else stands behind its stream; or the copy cannot be made, as of one that has checksums",
      ], besides: [.negative, .incomplete, .unavailable]))
      """)

  @Argument(
    help: "The image: a file that QEMU, libvirt or mapped-ram wrote, or a block device.",
    completion: .file(), transform: FilePath.image)
  var image: FilePath

  @OptionGroup(title: "Output") var target: SealTarget
  @OptionGroup(title: "Transfer") var transfer: TransferArguments
  @OptionGroup(title: "Common options") var output: OutputArguments
  @OptionGroup(title: "Expert options") var channels: ChannelArguments
  @OptionGroup(title: "Expert options") var offset: OffsetArgument

  func validate() throws {
    if target.force.force, target.copy == nil {
      throw ValidationError("--force is for what --copy would replace.")
    }
  }
}

/// Where the checksums of `mapped-ram seal` go.
struct SealTarget: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Leave the image as it is, and put the checksums into a copy of it.", valueName: "file"),
    completion: .file(), transform: FilePath.image)
  var copy: FilePath?

  @OptionGroup var force: ForceArgument
}
