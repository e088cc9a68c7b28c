import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// One run of `inspect`, apart from the command line and the terminal.
struct InspectRun {
  /// What was asked for.
  struct Options: Equatable, Sendable {
    var image: FilePath
    var streamOffset: FileOffset?
    var json = false
    var sections = false
    var devices = false
    var pages = false
    var picture: FilePath?
    /// Columns of the terminal.
    var width = 80
  }

  let options: Options
  /// Takes data.
  let output: (String) -> Void
  /// Takes sentences, without line breaks.
  let complain: (String) -> Void

  /// Inspects the image. What went wrong has been said when this returns.
  func callAsFunction() -> ExitStatus {
    do throws(ImageError) {
      return try run()
    } catch {
      complain(error.description)
      return ExitStatus(inspecting: error)
    }
  }

  private func run() throws(ImageError) -> ExitStatus {
    let inspection = try inspect()
    let problems = inspection.image.problems
    if inspection.isNoImage, let problem = problems.first {
      throw .format(problem, in: options.image)
    }
    if options.json {
      output(InspectJSON(inspection).encoded())
    } else {
      writeText(inspection)
    }
    for problem in problems {
      complain(ImageError.format(problem, in: options.image).description)
    }
    if let picture = options.picture, let status = write(inspection, to: picture) {
      return status
    }
    return problems.isEmpty ? .success : .badData
  }

  private func inspect() throws(ImageError) -> Inspection {
    let file: File
    do throws(FileError) {
      file = try File.open(options.image, access: .read, directIO: .off)
    } catch {
      if case .system(let error) = error { throw .system(error) }
      throw .file(error)
    }
    return try Inspection(
      of: file, streamOffset: options.streamOffset,
      wishes: Inspection.Wishes(
        devices: options.devices, pages: options.pages && !options.json || options.picture != nil,
        runs: options.pages && options.json))
  }

  private func writeText(_ inspection: Inspection) {
    let summary = SummaryText(inspection: inspection, output: output)
    summary.write()
    if options.sections {
      output("\n")
      SectionsText.write(inspection.image.sections, to: output)
    }
    if options.devices {
      output("\n")
      DevicesText(output: output).write(inspection)
    }
    if options.pages {
      output("\n")
      PageMapText.write(inspection, width: options.width, to: output)
    }
    summary.writeRemarks()
  }

  /// Writes the picture. The status if that failed.
  private func write(_ inspection: Inspection, to path: FilePath) -> ExitStatus? {
    do throws(FileError) {
      let pending = try PendingFile.create(at: path, directIO: .off)
      do throws(SystemCallError) {
        try pending.file.write(Array(PageMapSVG.picture(of: inspection).utf8), at: 0)
        try pending.commit()
      } catch {
        complain(error.description)
        return .ioError
      }
    } catch {
      complain(error.description)
      return .cannotCreate
    }
    return nil
  }
}

extension Inspection {
  /// Whether nothing at all was recognized: the file is something else than an image.
  var isNoImage: Bool {
    guard image.container == .qemu, let problem = image.problems.first else { return false }
    return problem.context == .streamHeader
  }
}

extension ExitStatus {
  /// How an inspection ends that failed with `error`.
  init(inspecting error: ImageError) {
    switch error {
    case .format, .file: self = .badData
    case .system(let error) where [.permissionDenied, .notPermitted].contains(error.errno):
      self = .notPermitted
    case .system, .endedEarly: self = .ioError
    case .plan: self = .usage
    case .cancelled: self = .interrupted
    }
  }
}
