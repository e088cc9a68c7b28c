import ArgumentParser
import LinuxIO
import MappedRAMFormat
import SystemPackage

/// `mapped-ram inspect`: the command line and the terminal.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what is in an image.",
    discussion: """
      Reads headers, bitmaps and sections, never the pages, so it takes milliseconds whatever the size of the RAM. \
      Nothing is written to the image. Of a damaged image everything that can be read is shown, then what is wrong.

      The table of blocks: "Present" are the pages whose bit is set in the bitmap, and "Bytes" is what they hold. \
      "On disk" is the space that the block's page slots take in the file. "Stale" are absent pages whose slot takes space \
      all the same: an older version of the page that a live save left behind, or zeros that were written. Readers take such \
      pages for zero.

      Examples:
        mapped-ram inspect vm.img
        mapped-ram inspect vm.img --devices | less
        mapped-ram inspect vm.img --json | jq '.blocks[] | {idstr, pagesPresent}'

      Exit status: 0 the image is whole; 64 usage; 65 it is damaged, incomplete or no image; 73 the picture cannot be \
      made; 74 it cannot be read; 77 not permitted.
      """)

  @Argument(help: "The image.", completion: .file())
  var image: String

  @Flag(help: "Print JSON. The keys are stable within a schemaVersion.")
  var json = false

  @Flag(help: "List every section with its place and length.")
  var sections = false

  @Flag(help: "Decode the state of every device, as far as the image describes it.")
  var devices = false

  @Flag(help: "Draw which parts of each block are present; with --json, list the runs of pages.")
  var pages = false

  @Option(
    help: ArgumentHelp("Draw the same as a picture.", valueName: "file"),
    completion: .file(extensions: ["svg"]))
  var pagesSvg: String?

  @Option(
    help: ArgumentHelp(
      "Where the migration stream begins in the file, in bytes; 0x for hexadecimal. (default: where libvirt's header "
        + "says, else 0)", valueName: "n"),
    transform: InspectCommand.offset)
  var offset: FileOffset?

  /// The place that a text names.
  static func offset(_ text: String) throws -> FileOffset {
    let isHexadecimal = text.hasPrefix("0x")
    let digits = isHexadecimal ? text.dropFirst(2) : text[...]
    guard digits.first != "+", let number = UInt64(digits, radix: isHexadecimal ? 16 : 10) else {
      throw ValidationError("\"\(text)\" is no number of bytes; expected one like 4096 or 0x1000.")
    }
    return FileOffset(number)
  }

  func run() throws {
    let run = InspectRun(
      options: InspectRun.Options(
        image: FilePath(image), streamOffset: offset, json: json, sections: sections,
        devices: devices, pages: pages, picture: pagesSvg.map { FilePath($0) },
        width: Terminal.width(of: FileDescriptor.standardOutput.rawValue) ?? 80),
      output: { print($0, terminator: "") }, complain: Self.complain)
    let status = run()
    if status != .success { throw ExitCode(status.rawValue) }
  }

  private static func complain(_ sentence: String) {
    // Nobody is left to tell where this fails.
    _ = try? FileDescriptor.standardError.writeAll("mapped-ram: \(sentence)\n".utf8)
  }
}
