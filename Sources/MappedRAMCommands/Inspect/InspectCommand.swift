import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// `mapped-ram inspect`: the command line and the terminal.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what is in an image, or what a running VM is made of.",
    usage: """
      mapped-ram inspect [<options>] <image>
             mapped-ram inspect --qmp <socket> [--json]
      """,
    discussion: """
      Of an image, reads headers, bitmaps and sections, never the pages, so it takes milliseconds whatever the size of the RAM. Of a \
      damaged image everything that can be read is shown, then what is wrong.

      In the table of blocks, "Present" are the pages whose bit is set in the bitmap, and "Bytes" is what they hold. \
      "On disk" is the space that the block's page slots take in the file. "Stale" are absent pages whose slot takes space \
      all the same: an older version of the page that a live save left behind, or zeros that were written. Readers take \
      such pages for zero.

      With --qmp, shows the VM of a QEMU that runs on this machine, and what "mapped-ram save" would do with it now: the \
      engine that it would take and why, and how much room the image needs. "Present" then is the memory that the guest has \
      touched, in memory or swapped out. Nothing about the VM changes, and it is not stopped.

      EXAMPLES:
        mapped-ram inspect vm.img
        mapped-ram inspect vm.img --devices | less
        mapped-ram inspect vm.img --json | jq '.blocks[] | {idstr, pagesPresent}'
        mapped-ram inspect --qmp /run/vm.qmp

      \(ExitStatus.help([
        .success: "the image is whole, or the VM has been shown",
        .badData: "the image is damaged, incomplete or none at all",
        .unavailable: "QEMU cannot be reached",
        .cannotCreate: "the picture cannot be made",
      ], besides: [.negative, .incomplete]))
      """)

  @Argument(
    help: "The image: a file of QEMU's or libvirt's, or a block device.", completion: .file(),
    transform: { FilePath($0) })
  var image: FilePath?

  @OptionGroup(title: "Running VM") var machine: InspectMachine
  @OptionGroup(title: "What to show") var parts: InspectParts

  @Option(
    help: ArgumentHelp(
      "Where the stream begins in the file (default: where libvirt's header says, or 0).",
      valueName: "bytes"))
  var offset: ByteSize?

  func validate() throws {
    if image == nil, machine.qmp == nil {
      throw ValidationError(
        "Nothing says what to inspect: give an image, or the socket of a QEMU's QMP with --qmp.")
    }
    if let image, machine.qmp != nil {
      throw ValidationError("Give either an image (\(image)) or --qmp, not both.")
    }
    let forImages = parts.forImages + (offset == nil ? [] : ["--offset"])
    if machine.qmp != nil, let option = forImages.first {
      throw ValidationError("\(option) is for an image, and --qmp for a running VM.")
    }
  }

  func run() throws {
    let buffer = OutputBuffer()
    var status = perform(
      width: Terminal.width(of: FileDescriptor.standardOutput.rawValue) ?? 80,
      isInterruptible: true,
      output: buffer.write,
      complain: { sentence in
        buffer.flush()
        Self.complain(sentence)
      })
    do throws(CommandError) {
      try buffer.finish()
    } catch {
      Self.complain(error.description)
      status = ExitStatus(error)
    }
    if status != .success { throw ExitCode(status.rawValue) }
  }

  /// Runs the command with other outputs than the process's own.
  ///
  /// - Parameters:
  ///   - width: columns for what fills a line.
  ///   - isInterruptible: whether a signal ends the reading of an image, for a process that has nothing else to do.
  ///   - output: takes data.
  ///   - complain: takes sentences, without line breaks.
  func perform(
    width: Int, isInterruptible: Bool = false, output: @escaping (String) -> Void,
    complain: @escaping (String) -> Void
  ) -> ExitStatus {
    do throws(CommandError) {
      if let socket = machine.qmp {
        try VMInspectRun(socket: socket, processID: machine.pid, json: parts.json, output: output)()
        return .success
      }
      guard let image else { preconditionFailure("validated") }
      let options = InspectRun.Options(
        image: image, streamOffset: offset.map { FileOffset($0.byteCount) }, parts: parts,
        width: width)
      let run = InspectRun(options: options, output: output, complain: complain)
      let inspection = try isInterruptible ? Self.readInterruptibly(run) : run.read(Cancellation())
      return try run.show(inspection)
    } catch {
      complain(error.description)
      return ExitStatus(error)
    }
  }

  /// Reads the image, which a signal ends; while it is shown, signals do what they do to any process.
  private static func readInterruptibly(_ run: InspectRun) throws(CommandError) -> Inspection {
    defer { Interruption.unblockSignals() }
    let cancellation = Cancellation()
    return try Interruption.cancelling(cancellation) { () throws(CommandError) in
      try run.read(cancellation)
    }
  }

  private static func complain(_ sentence: String) {
    Console.complain(sentence)
  }
}

/// The options of `mapped-ram inspect` that say what is shown.
struct InspectParts: ParsableArguments {
  @Flag(help: "Print JSON; a key keeps its meaning as long as schemaVersion stays.")
  var json = false

  @Flag(help: "List every section with its place and length. JSON always has them.")
  var sections = false

  @Flag(help: "Decode the state of every device, as far as the image describes it.")
  var devices = false

  @Flag(help: "Draw which parts of each block are present; with --json, list the runs of pages.")
  var pages = false

  @Option(
    help: ArgumentHelp("Draw the same as a picture, into this file.", valueName: "file"),
    completion: .file(extensions: ["svg"]), transform: { FilePath($0) })
  var pagesSvg: FilePath?

  /// The options that are given and belong to images alone.
  var forImages: [String] {
    [
      ("--sections", sections), ("--devices", devices), ("--pages", pages),
      ("--pages-svg", pagesSvg != nil),
    ].filter(\.1).map(\.0)
  }
}

/// The options of `mapped-ram inspect` that are about a running VM.
struct InspectMachine: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Show the VM whose QEMU listens for QMP at this unix socket.", valueName: "socket"),
    completion: .file(), transform: { FilePath($0) })
  var qmp: FilePath?

  @Option(
    help: ArgumentHelp(
      "QEMU's process, where it is not the one that QMP leads to.", valueName: "number"))
  var pid: Int32?

  func validate() throws {
    if qmp == nil, pid != nil {
      throw ValidationError(
        "--pid is for a running VM: give the socket of its QEMU's QMP with --qmp as well.")
    }
  }
}
