import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// `mapped-ram inspect`: the command line and the terminal.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what an image contains, or what a running VM consists of.",
    usage: "mapped-ram inspect [<options>] <image or socket>",
    discussion: """
      Of an image, headers, bitmaps and sections are read, never the pages, so it takes milliseconds whatever the size of the RAM. Of a \
      damaged image everything that can be read is shown, then what is wrong.

      In the table of blocks, "Present" are the pages whose bit is set in the bitmap, and "Bytes" is what they hold. \
      "On disk" is the space that the block's page slots take in the file. "Stale" are absent pages whose slot takes space \
      all the same: an older version of the page that a live save left behind, or zeros that were written. Readers take \
      such pages for zero.

      With the QMP socket of a running VM, shows the VM, and what "mapped-ram save" would do with it now: the \
      engine that it would use and why, and how much disk space the image needs. "Present" then is the memory that the guest has \
      touched, in memory or swapped out. Nothing about the VM changes, and it is not paused.

      EXAMPLES:
        mapped-ram inspect vm.img
        mapped-ram inspect vm.img --devices | less
        mapped-ram inspect vm.img --json | jq '.blocks[] | {idstr, pagesPresent}'
        mapped-ram inspect /run/vm.qmp

      \(ExitStatus.help([
        .success: "the image is whole, or the VM has been shown",
        .badData: "the image is damaged, incomplete or none at all",
        .unavailable: "QEMU cannot be reached",
        .cannotCreate: "the picture cannot be created",
      ], besides: [.negative, .incomplete]))
      """)

  @Argument(
    help: ArgumentHelp(
      "The image, a file or a block device; or the QMP socket of a running VM.",
      valueName: "image or socket"),
    completion: .file(), transform: FilePath.image)
  var subject: FilePath

  @OptionGroup(title: "What to show of an image") var parts: InspectParts
  @OptionGroup(title: "Common options") var output: OutputArguments
  @OptionGroup(title: "Expert options") var offset: OffsetArgument
  @OptionGroup(title: "Expert options") var process: ProcessArgument

  func run() throws {
    let hasWritten = Monitor(false)
    let limit = try output.timeLimit.map { try TimeLimit($0, output, hasWritten) }
    defer { withExtendedLifetime(limit) {} }
    let buffer = OutputBuffer(hasWritten)
    var status = perform(
      width: Terminal.width(of: FileDescriptor.standardOutput.rawValue) ?? 80,
      isInterruptible: true,
      output: buffer.write,
      complain: { line, call in
        buffer.flush(endingWith: ExitStatus(rawValue: line.status) ?? .success)
        line.write(output.progress, systemCall: output.verbose ? call : nil)
      })
    do throws(CommandError) {
      try buffer.finish(endingWith: status)
    } catch {
      status = CommandRun.tell(error, output, isOnStdout: false)
    }
    if status != .success { throw ExitCode(status.rawValue) }
  }

  /// Runs the command with other outputs than the process's own.
  ///
  /// - Parameters:
  ///   - width: columns for what fills a line.
  ///   - isInterruptible: whether a signal ends the reading of an image, for a process that has nothing else to do.
  ///   - output: takes data.
  ///   - complain: takes errors, each with the system call behind it, if there is one.
  func perform(
    width: Int, isInterruptible: Bool = false, output: @escaping (String) -> Void,
    complain: @escaping (ErrorLine, String?) -> Void
  ) -> ExitStatus {
    do throws(CommandError) {
      if InodeType(at: subject) == .socket {
        let options = parts.given + (offset.streamOffset == nil ? [] : ["--offset"])
        if let option = options.first { throw .notForVM(option: option, subject) }
        try VMInspectRun(
          socket: subject, processID: process.pid, json: self.output.json, output: output)()
        return .success
      }
      let options = InspectRun.Options(
        image: subject, streamOffset: offset.streamOffset, parts: parts, json: self.output.json,
        width: width)
      let run = InspectRun(options: options, output: output) { complain($0, nil) }
      let inspection = try isInterruptible ? Self.readInterruptibly(run) : run.read(Cancellation())
      return try run.show(inspection)
    } catch {
      let line = ErrorLine(error)
      complain(line, error.systemCallText)
      if self.output.json { output(JSONText.document(line)) }
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
}

/// The options of `mapped-ram inspect` that say what is shown.
struct InspectParts: ParsableArguments {
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

  /// The options that are given.
  var given: [String] {
    [
      ("--sections", sections), ("--devices", devices), ("--pages", pages),
      ("--pages-svg", pagesSvg != nil),
    ].filter(\.1).map(\.0)
  }
}
