import LinuxIO
import MappedRAM
import MappedRAMFormat
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
  /// Takes sentences, without line breaks.
  let complain: (String) -> Void

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
    for problem in problems { complain(problem.description) }
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
