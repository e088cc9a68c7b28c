public import ArgumentParser
import LinuxIO
import MappedRAM
public import MappedRAMFormat
import SystemPackage

/// `mapped-ram pack`: builds an image from files.
struct PackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Build an image from the files of a directory.",
    usage: "mapped-ram pack [<options>] <directory> <image>",
    discussion: """
      From a directory that "mapped-ram unpack" wrote, the image is built as it was: for an image that QEMU wrote of a \
      stopped machine, byte for byte.

      From files of your own, --machine, --vmstate and a --block for each RAMBlock say what the image holds; relative paths are \
      looked up in the directory. The device state may be a vmstate.bin, or what QEMU's xen-save-devices-state writes.

      With --device, the state of a device is kept in an area behind the stream, as with "mapped-ram save".

      \(OutputImageArguments.appearance)

      EXAMPLES:
        mapped-ram pack vm vm.img
        mapped-ram pack --layout 2M vm vm.img
        mapped-ram pack --machine pc-q35-10.0 --vmstate devices.bin \\
          --block pc.ram=ram.raw raw vm.img
        mapped-ram pack --progress json vm vm.img

      \(OutputImageArguments.onFailure)

      \(ExitStatus.help([
        .badData: "the manifest or the files beside it are not valid",
        .unavailable: "direct I/O was required and is refused",
        .cannotCreate: "the image cannot be created",
      ], besides: [.negative, .incomplete]))
      """)

  @Argument(
    help: "The directory with the files.", completion: .directory, transform: { FilePath($0) })
  var directory: FilePath

  @Argument(help: OutputImageArguments.image, completion: .file(), transform: FilePath.image)
  var image: FilePath

  @OptionGroup(title: "Files of your own") var contents: PackContents
  @OptionGroup(title: "Image") var layout: PackLayout
  @OptionGroup(title: "Image") var target: OutputImageArguments
  @OptionGroup(title: "Devices") var devices: DeviceSaveArguments
  @OptionGroup(title: "Transfer") var transfer: TransferArguments
  @OptionGroup(title: "Common options") var output: OutputArguments
  @OptionGroup(title: "Expert options") var channels: ChannelArguments
  @OptionGroup(title: "Expert options") var stream: PackOffset
  @OptionGroup(title: "Expert options") var sections: DeviceSectionArguments

  func validate() throws { try sections.check(devices.device) }
}

/// A RAMBlock and the raw file with its contents, on the command line: `IDSTR=FILE`.
struct BlockFile: Equatable, Sendable, ExpressibleByArgument {
  var idstr: String
  var file: FilePath

  /// What `argument` says: the name is what stands before the first `=`. `nil` where either is empty.
  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
    idstr = String(parts[0])
    file = FilePath(String(parts[1]))
  }

  static let defaultCompletionKind = CompletionKind.file()
}

extension SlotLayout: ExpressibleByArgument {}

/// Where the page slots are to begin in the image.
struct PackLayout: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Where each block's pages begin. \(SlotLayout.help) (default: as image.json says, or 1M)",
      valueName: "layout"))
  var layout: SlotLayout?

  @Flag(
    inversion: .prefixedNo,
    help: """
      Whether to put checksums behind QEMU's stream, by which "mapped-ram verify" finds damage. (default: as image.json says, or not)
      """)
  var checksums: Bool?
}

extension SlotLayout {
  /// What the layouts are, for the help of options that take one.
  static let help = """
    1M: at a multiple of 1 MiB, as QEMU has them. 2M: at a multiple of 2 MiB, so that VMs that run on the image can map \
    it by huge pages. QEMU loads both.
    """
}

/// Where the stream is to begin in the image.
struct PackOffset: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Where the stream is to begin in the image. (default: as image.json says, or 0)",
      valueName: "bytes"))
  var offset: ByteSize?
}

/// The options of `mapped-ram pack` that say what files of the user's own are.
struct PackContents: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A RAMBlock and the raw file with its contents, whose size is the used length. Repeat for each, in the order of the image.",
      valueName: "idstr=file"))
  var block: [BlockFile] = []

  @Option(
    help: ArgumentHelp("The device state.", valueName: "file"), completion: .file(),
    transform: { FilePath($0) })
  var vmstate: FilePath?

  @Option(
    help: ArgumentHelp(
      "The machine type with its version, such as pc-q35-10.0.", valueName: "type"))
  var machine: String?

  @Option(
    help: ArgumentHelp(
      "The size of the guest's pages: 1K to 64K; 4K but for few architectures. (default: 4K)",
      valueName: "bytes"))
  var pageSize: ByteSize?

  func validate() throws {
    guard !given.isEmpty else { return }
    let missing = [
      ("--machine", machine == nil), ("--vmstate", vmstate == nil), ("--block", block.isEmpty),
    ].filter(\.1).map(\.0)
    guard missing.isEmpty else {
      throw ValidationError(
        "To build an image from files of your own, give \(missing.joined(separator: " and ")) as well."
      )
    }
    let names = block.map(\.idstr)
    if let twice = names.first(where: { name in names.filter { $0 == name }.count > 1 }) {
      throw ValidationError("--block names \"\(twice)\" twice; a RAMBlock has one file.")
    }
    if let machine, !Self.isName(machine) {
      throw ValidationError(
        "--machine is \"\(machine)\"; expected 1 to 255 printable ASCII characters.")
    }
    if let pageSize, PageSize(byteCount: pageSize.byteCount) == nil {
      throw ValidationError("--page-size is \(pageSize); expected a power of two, 1K to 64K.")
    }
  }

  private static func isName(_ text: String) -> Bool {
    (1...ImageLimits.nameBytes).contains(text.utf8.count)
      && text.utf8.allSatisfy { (0x20...0x7e).contains($0) }
  }

  /// The options that are given.
  var given: [String] {
    [
      ("--block", !block.isEmpty), ("--vmstate", vmstate != nil), ("--machine", machine != nil),
      ("--page-size", pageSize != nil),
    ].filter(\.1).map(\.0)
  }
}
