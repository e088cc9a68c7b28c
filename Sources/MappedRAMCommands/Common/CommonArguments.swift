import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

extension FilePath {
  /// The image that `argument` names.
  static func image(_ argument: String) throws -> FilePath {
    guard argument != "-" else {
      throw ValidationError(
        "An image cannot be streamed: it is written and read out of order. Give a file or a block device."
      )
    }
    return FilePath(argument)
  }
}

/// Where the stream begins in an image that is read.
struct OffsetArgument: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Where the stream begins in the image. (default: where libvirt's header says, or 0)",
      valueName: "bytes"))
  var offset: ByteSize?

  /// The offset, if it is given.
  var streamOffset: FileOffset? { offset.map { FileOffset($0.byteCount) } }
}

/// How an image is written.
struct OutputImageArguments: ParsableArguments {
  @OptionGroup var force: ForceArgument

  @Flag(
    help: """
      Write into the existing file, to keep its place, mode or links. While this runs it is no image, and nothing that it held is kept.
      """)
  var inPlace = false

  /// Whether the image is written where it is, and not under another name first.
  func writesInPlace(_ image: FilePath) -> Bool { inPlace || File.isBlockDevice(image) }

  /// Runs `body`; if it is interrupted and has left no image in a file or device that is written in place, the error says so.
  func sayingWhatIsLeft<Value>(
    in image: FilePath, at streamOffset: FileOffset = .zero,
    _ body: () throws(CommandError) -> Value
  ) throws(CommandError) -> Value {
    do throws(CommandError) {
      return try body()
    } catch {
      guard writesInPlace(image), error == .image(.cancelled, output: image),
        !Self.isImage(image, at: streamOffset)
      else { throw error }
      throw .interruptedInPlace(image)
    }
  }

  /// Whether what was there before is there still: its header is the first thing to go.
  private static func isImage(_ image: FilePath, at streamOffset: FileOffset) -> Bool {
    do {
      let file = try File.open(image, access: .read, directIO: .off)
      let head = try file.readBytes(at: streamOffset.rawValue, count: 16)
      return StreamHeader.isPresent(in: head) || LibvirtHeader.isPresent(in: head)
    } catch {
      return false
    }
  }
}

/// What a verb that writes files may replace.
struct ForceArgument: ParsableArguments {
  @Flag(
    help: """
      Replace what is kept by default: files that are no image, images of another VM, files of unknown origin, what a block device \
      holds. A file that the VM uses is never replaced.
      """)
  var force = false

  var replacing: Replacing { force ? .anything : .images }
}

/// QEMU's process.
struct ProcessArgument: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "QEMU's process ID, if it is not the one that QMP leads to.", valueName: "number"))
  var pid: Int32?
}

/// How progress is shown on stderr.
enum ProgressMode: String, CaseIterable, ExpressibleByArgument, Sendable {
  /// A line that is renewed, if stderr is a terminal.
  case auto
  /// A JSON object a line.
  case json
  /// Not at all.
  case none
}

/// The options that say what a command tells, and to whom.
struct OutputArguments: ParsableArguments {
  @Option(
    help: """
      Progress on stderr: a line on a terminal, JSON lines, or none. With json, the report and errors are JSON lines as well, told apart \
      by their type.
      """)
  var progress = ProgressMode.auto

  @Flag(help: "Print the report as JSON on stdout.")
  var json = false
}
