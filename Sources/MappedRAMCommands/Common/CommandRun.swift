import ArgumentParser
import LinuxIO
import MappedRAM
import SystemPackage

/// The frame around a command that moves data: signals, progress, the report, the end.
struct CommandRun {
  /// What the user wants to be told.
  let output: OutputArguments
  /// Stops the work on a signal.
  let cancellation = Cancellation()

  /// Runs `body`, prints the report that it gives, and ends.
  ///
  /// - Throws: `ExitCode`, once the error has been told, or what the report calls a problem.
  static func perform(
    _ output: OutputArguments, _ body: (CommandRun) throws(CommandError) -> any CommandReport
  ) throws {
    let run = CommandRun(output: output)
    let isDone: Bool
    do throws(CommandError) {
      let report = try Interruption.cancelling(run.cancellation, after: output.timeLimit) {
        () throws(CommandError) in
        try body(run)
      }
      try run.tell(report)
      isDone = report.problem == nil
    } catch {
      throw run.tell(error)
    }
    guard isDone else { throw ExitCode(ExitStatus.incomplete.rawValue) }
  }

  /// Runs work of the engine with its progress on show.
  ///
  /// - Parameters:
  ///   - label: what is being done, a word.
  ///   - target: what is to be made, for the exit status.
  func showingProgress<Value>(
    _ label: String, to target: FilePath?,
    _ body: (TransferProgress, Cancellation) throws(ImageError) -> Value
  ) throws(CommandError) -> Value {
    try showingProgress(label) { (progress, cancellation) throws(CommandError) in
      try CommandError.image(to: target) { () throws(ImageError) in
        try body(progress, cancellation)
      }
    }
  }

  /// Runs work with its progress on show.
  func showingProgress<Value>(
    _ label: String, _ body: (TransferProgress, Cancellation) throws(CommandError) -> Value
  ) throws(CommandError) -> Value {
    let progress = TransferProgress()
    let reporter = try CommandError.system { () throws(SystemCallError) in
      try self.reporter(label, progress)
    }
    let outcome: Result<Value, CommandError>
    do throws(CommandError) {
      outcome = .success(try body(progress, cancellation))
    } catch {
      outcome = .failure(error)
    }
    reporter.finish()
    return try outcome.get()
  }

  /// Shows `progress`, as the user wants it, until the reporter is told to finish.
  func reporter(
    _ label: String, _ progress: TransferProgress
  ) throws(SystemCallError) -> ProgressReporter {
    try ProgressReporter(output.quiet ? .none : output.progress, label, progress)
  }

  /// Tells of something that does not stop the command.
  func warn(_ warning: Finding) {
    if output.progress == .json {
      Console.writeError(JSONText.line(WarningLine(kind: warning.kind, message: warning.message)))
    } else {
      ProgressReporter.writeAbove(TerminalText.message("Warning", warning.message))
    }
  }

  /// Tells of damage in `image` that does not keep it from being restored.
  func warn(ofDamageIn image: Image) {
    guard let problem = image.harmlessDamage else { return }
    warn(
      Finding(
        kind: "damagedAreas",
        message:
          "\(image.path): \(problem) What a restore needs is not affected, so it goes on; \"mapped-ram verify\" tells of all damage."
      ))
  }

  private func tell(_ report: any CommandReport) throws(CommandError) {
    // For programs, a problem is part of the report.
    if !output.quiet || output.progress == .json && report.problem != nil {
      Console.writeError(
        output.progress == .json
          ? report.jsonLine : report.text + (output.verbose ? report.details : ""))
    }
    if output.progress != .json, let problem = report.problem { Console.complain(problem) }
    try Console.writeOutput(
      output.json ? report.jsonDocument : report.table,
      endingWith: report.problem == nil ? .success : .incomplete)
  }

  private func tell(_ error: CommandError) -> ExitCode {
    ExitCode(Self.tell(error, output).rawValue)
  }

  /// Tells of the failure of a command, as `output` says.
  ///
  /// - Parameter isOnStdout: whether stdout gets it as well, where JSON is asked for there: not where it has a report already.
  /// - Returns: the status to end with.
  static func tell(
    _ error: CommandError, _ output: OutputArguments, isOnStdout: Bool = true
  ) -> ExitStatus {
    let (line, status) = (ErrorLine(error), ExitStatus(error))
    line.write(output.progress, systemCall: output.verbose ? error.systemCallText : nil)
    // Where stdout is what failed, people have been told.
    if output.json, isOnStdout {
      try? Console.writeOutput(JSONText.document(line), endingWith: status)
    }
    return status
  }

  /// A warning for programs.
  private struct WarningLine: Encodable {
    var type = "warning"
    var kind: String
    var message: String
  }
}

/// A command's failure for programs.
struct ErrorLine: Encodable {
  var type = "error"
  var schemaVersion = JSONText.schemaVersion
  var error: ErrorJSON
  var status: Int32

  init(error: ErrorJSON, status: ExitStatus) {
    self.error = error
    self.status = status.rawValue
  }

  init(_ error: CommandError) {
    self.init(error: ErrorJSON(error), status: ExitStatus(error))
  }

  /// Writes it to stderr, in the form that `mode` has for programs or for people.
  ///
  /// - Parameter systemCall: the call behind it, which people are to be told.
  func write(_ mode: ProgressMode, systemCall: String? = nil) {
    if mode == .json { return Console.writeError(JSONText.line(self)) }
    Console.complain(error.message)
    if let systemCall { Console.writeError("  \(systemCall)\n") }
  }
}

/// What a command says at its end, in either form.
protocol CommandReport {
  /// What programs get; `type` is `report`.
  associatedtype JSON: Encodable
  /// What programs get.
  var json: JSON { get }
  /// What people are told on stderr: lines, each with its newline.
  var text: String { get }
  /// What people are told after that with --verbose.
  var details: String { get }
  /// What people asked for, on stdout, unless they asked for JSON.
  var table: String { get }
  /// What is not as it was to be though the work was done; `nil` if all is.
  var problem: String? { get }
}

extension CommandReport {
  /// Nothing.
  var details: String { "" }
  /// Nothing: the command makes files.
  var table: String { "" }
  /// Nothing.
  var problem: String? { nil }
  fileprivate var jsonLine: String { JSONText.line(json) }
  fileprivate var jsonDocument: String { JSONText.document(json) }
}
