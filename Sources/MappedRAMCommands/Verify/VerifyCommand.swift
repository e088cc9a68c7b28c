import ArgumentParser
import SystemPackage

/// `mapped-ram verify`: finds out whether an image is as it was saved.
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check whether an image still has the contents that were saved.",
    discussion: """
      Reads the image's structures, all pages that are present and the device state, and compares them with the checksums that \
      "mapped-ram save" has put behind QEMU's stream. What is damaged is named: RAMBlock, pages and place in the file, or the device \
      whose state it is. Pages are checked in chunks of 64 KiB. The XML of libvirt before the stream has no checksums. The image is not \
      changed.

      An image without checksums, such as one that QEMU or libvirt wrote, is read as far as its structure goes, and the answer is no: \
      whether its contents are right cannot be told.

      Checksums find damage. They do not tell whether somebody has changed the image on purpose: for that, sign the line that \
      --root prints, and compare it.

      EXAMPLES:
        mapped-ram verify vm.img
        mapped-ram verify --json vm.img | jq .damage
        mapped-ram verify --root vm.img > vm.root
        ssh-keygen -Y sign -n mapped-ram -f ~/.ssh/id_ed25519 vm.root

      \(ExitStatus.help([
        .success: "the image is whole",
        .negative: "the image is damaged or incomplete, or has no checksums",
        .badData: "the file is no image",
        .unavailable: "direct I/O was required and is refused",
      ], besides: [.incomplete, .cannotCreate]))
      """)

  @Argument(
    help: "The image: a file that QEMU, libvirt or mapped-ram wrote, or a block device.",
    completion: .file(), transform: FilePath.image)
  var image: FilePath

  @OptionGroup(title: "Output") var form: VerifyForm
  @OptionGroup(title: "Transfer") var transfer: TransferArguments
  @OptionGroup(title: "Common options") var output: OutputArguments
  @OptionGroup(title: "Expert options") var channels: ChannelArguments
  @OptionGroup(title: "Expert options") var offset: OffsetArgument

  func validate() throws {
    if form.root, output.json {
      throw ValidationError("--root is in what --json prints: give one of them.")
    }
  }
}

/// What `mapped-ram verify` prints.
struct VerifyForm: ParsableArguments {
  @Flag(
    help: """
      Print one line, the checksum of all contents, if the image is whole: the same for the same contents in any layout. To be signed.
      """)
  var root = false
}
