import ArgumentParser
import MappedRAM
import SystemPackage

/// `mapped-ram unpack`: takes an image apart into files.
struct UnpackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unpack",
    abstract: "Take an image apart into raw files.",
    usage: "mapped-ram unpack [<options>] <image> <directory>",
    discussion: """
      Writes the memory of each RAMBlock as a raw file named after it (pc.ram.ram; bytes that are not safe in a file \
      name as %2F), with holes where pages are zero, the device state as vmstate.bin, and image.json with all else that \
      "mapped-ram pack" needs to build the image again, byte for byte. All files appear together once all are complete.

      With --device, the state of a device that stands behind the image's stream goes to another file or to a command instead of the \
      directory. A command is run by /bin/sh.

      EXAMPLES:
        mapped-ram unpack vm.img vm
        mapped-ram unpack --block pc.ram vm.img vm
        mapped-ram unpack --json --progress none vm.img vm

      On failure nothing is left behind.

      \(ExitStatus.help([
        .usage: "usage error, or there is no such RAMBlock",
        .badData: "the image is damaged, incomplete or none at all",
        .unavailable: "direct I/O was required and is refused, or --verify, and there are no checksums",
        .cannotCreate: "the directory or a file in it cannot be created",
      ], besides: [.negative, .incomplete]))
      """)

  @Argument(
    help: "The image: a file that QEMU, libvirt or mapped-ram wrote, or a block device.",
    completion: .file(), transform: FilePath.image)
  var image: FilePath

  @Argument(
    help: """
      Where the files go. It is created if it does not exist. What an earlier unpack wrote there is replaced; other files need --force.
      """, completion: .directory, transform: { FilePath($0) })
  var directory: FilePath

  @OptionGroup(title: "Files") var contents: UnpackContents
  @OptionGroup(title: "Files") var force: ForceArgument
  @OptionGroup(title: "Devices") var devices: DeviceRestoreArguments
  @OptionGroup(title: "Transfer") var transfer: TransferArguments
  @OptionGroup(title: "Common options") var output: OutputArguments
  @OptionGroup(title: "Expert options") var channels: ChannelArguments
  @OptionGroup(title: "Expert options") var offset: OffsetArgument
}

/// The options of `mapped-ram unpack` that say what is written.
struct UnpackContents: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Write only this RAMBlock, and neither the device state nor image.json. May be repeated.",
      valueName: "idstr"))
  var block: [String] = []

  @Flag(
    inversion: .prefixedNo,
    help: """
      Compare what is read with the image's checksums, and write nothing if it differs. --verify refuses an image without checksums, \
      --no-verify takes what there is of a damaged one. (default: where the image has checksums)
      """)
  var verify: Bool?

  var verification: DirectoryRestore.Verification {
    switch verify {
    case true?: .always
    case false?: .never
    case nil: .whereThereAreSums
    }
  }
}
