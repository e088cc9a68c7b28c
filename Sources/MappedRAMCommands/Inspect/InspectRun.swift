import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage

/// One run of `inspect`, apart from the command line and the terminal.
struct InspectRun {
  /// What was asked for.
  struct Options {
    var image: FilePath
    var streamOffset: FileOffset?
    var parts: InspectParts
    var json = false
    /// Columns of the terminal.
    var width = 80
  }

  let options: Options
  private var parts: InspectParts { options.parts }
  /// Takes data.
  let output: (String) -> Void
  /// Takes errors.
  let complain: (ErrorLine) -> Void

  /// Reads the image.
  ///
  /// - Throws: where there is none, or it cannot be read.
  func read(_ cancellation: Cancellation) throws(CommandError) -> Inspection {
    try CommandError.image(to: nil) { () throws(ImageError) in
      try Inspection(
        of: try open(), streamOffset: options.streamOffset, wishes: wishes,
        cancellation: cancellation)
    }
  }

  /// Shows the image. What is wrong with it has been said when this returns.
  ///
  /// - Throws: where it is none, or the picture cannot be written.
  func show(_ inspection: Inspection) throws(CommandError) -> ExitStatus {
    let problems = inspection.image.problems.map { ImageError.format($0, in: options.image) }
    if inspection.isNoImage, let problem = problems.first { throw .image(problem, output: nil) }
    if options.json {
      output(JSONText.document(InspectJSON(inspection)))
    } else {
      writeText(inspection)
    }
    if options.json {
      for problem in problems { complain(ErrorLine(.image(problem, output: nil))) }
    } else if !problems.isEmpty {
      // Each has been listed.
      let sentence =
        "\(options.image): the image is damaged or incomplete: "
        + "\(NumberText.count(problems.count, "problem")), listed above."
      complain(
        ErrorLine(
          error: ErrorJSON(sentence, ErrorDetails(.badData, options.image)), status: .badData))
    }
    if let picture = parts.pagesSvg {
      try TextFile.writePicture(PageMapSVG.picture(of: inspection), to: picture)
    }
    return problems.isEmpty ? .success : .badData
  }

  private func open() throws(ImageError) -> File {
    try ImageFile(opening: options.image).file
  }

  private var wishes: Inspection.Wishes {
    Inspection.Wishes(
      devices: parts.devices, pages: parts.pages && !options.json || parts.pagesSvg != nil,
      runs: parts.pages && options.json)
  }

  /// Writes what was asked for, for people.
  func writeText(_ inspection: Inspection) {
    let summary = SummaryText(inspection: inspection, output: output)
    summary.write()
    if parts.sections {
      output("\n")
      SectionsText.write(inspection.image.sections, to: output)
    }
    if parts.devices {
      output("\n")
      DevicesText(output: output).write(inspection)
    }
    if parts.pages {
      output("\n")
      PageMapText.write(inspection, width: options.width, to: output)
    }
    summary.writeRemarks()
  }
}

extension Inspection {
  /// Whether nothing at all was recognized: the file is something else than an image.
  var isNoImage: Bool {
    guard image.container == .qemu, let problem = image.problems.first else { return false }
    return problem.context == .streamHeader
  }
}

/// One run of `inspect` on a running VM, apart from the command line and the terminal.
struct VMInspectRun {
  var socket: FilePath
  var processID: Int32?
  var json: Bool
  /// Takes data.
  let output: (String) -> Void

  /// Inspects the VM.
  ///
  /// - Throws: where QEMU cannot be reached.
  func callAsFunction() throws(CommandError) {
    let inspection = try CommandError.vm(to: nil) { () throws(VMError) in
      try VMInspection(of: try VMConnection.open(socket), processID: processID)
    }
    if json {
      output(JSONText.document(VMInspectJSON(inspection, at: socket)))
    } else {
      VMSummaryText(socket: socket, inspection: inspection, output: output).write()
    }
  }
}

/// Standard output, written in large pieces.
final class OutputBuffer {
  private var text = ""
  private var failure: CommandError?
  private let hasWritten: Monitor<Bool>

  /// - Parameter hasWritten: becomes true before something is written.
  init(_ hasWritten: Monitor<Bool>) { self.hasWritten = hasWritten }

  /// Bytes that are gathered before they are written.
  private static let pieceBytes = 64 << 10

  /// Takes text. What goes wrong is kept for `finish`.
  func write(_ more: String) {
    text += more
    if text.utf8.count >= Self.pieceBytes { flush() }
  }

  /// Writes what is left.
  ///
  /// - Parameter status: what the process ends with where the reader has gone away.
  /// - Throws: what went wrong first.
  func finish(endingWith status: ExitStatus) throws(CommandError) {
    flush(endingWith: status)
    if let failure { throw failure }
  }

  /// Writes what there is, so that what goes to standard error comes after it.
  func flush(endingWith status: ExitStatus = .success) {
    defer { text = "" }
    guard failure == nil, !text.isEmpty else { return }
    hasWritten.withLock { $0 = true }
    do throws(CommandError) {
      try Console.writeOutput(text, endingWith: status)
    } catch {
      failure = error
    }
  }
}
