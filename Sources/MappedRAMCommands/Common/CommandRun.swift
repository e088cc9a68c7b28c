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
      let report = try Interruption.cancelling(run.cancellation) { () throws(CommandError) in
        try body(run)
      }
      try run.tell(report)
      isDone = report.problem == nil
    } catch {
      throw run.tell(error)
    }
    guard isDone else { throw ExitCode(ExitStatus.incomplete.rawValue) }
  }

  /// Runs one transfer of the engine with its progress on show.
  ///
  /// - Parameters:
  ///   - label: what is going on, a word.
  ///   - target: what is to be made, for the exit status.
  func transfer<Value>(
    _ label: String, to target: FilePath?,
    _ body: (Progress, Cancellation) throws(ImageError) -> Value
  ) throws(CommandError) -> Value {
    try transfer(label) { (progress, cancellation) throws(CommandError) in
      try CommandError.image(to: target) { () throws(ImageError) in
        try body(progress, cancellation)
      }
    }
  }

  /// Runs one transfer with its progress on show.
  func transfer<Value>(
    _ label: String, _ body: (Progress, Cancellation) throws(CommandError) -> Value
  ) throws(CommandError) -> Value {
    let progress = Progress()
    let reporter = try CommandError.system { () throws(SystemCallError) in
      try ProgressReporter(output.progress, label, progress)
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

  /// Tells of something that the command goes on in spite of.
  func warn(_ message: String) {
    if output.progress == .json {
      Console.writeError(JSONText.line(WarningLine(message: message)))
    } else {
      ProgressReporter.writeAbove(TerminalText.message("Warning", message))
    }
  }

  private func tell(_ report: any CommandReport) throws(CommandError) {
    Console.writeError(output.progress == .json ? report.jsonLine : report.text)
    if output.progress != .json, let problem = report.problem { Console.complain(problem) }
    try Console.writeOutput(output.json ? report.jsonDocument : report.table)
  }

  private func tell(_ error: CommandError) -> ExitCode {
    let status = ExitStatus(error)
    if output.progress == .json {
      Console.writeError(
        JSONText.line(ErrorLine(message: error.description, status: status.rawValue)))
    } else {
      Console.complain(error.description)
    }
    return ExitCode(status.rawValue)
  }

  /// A warning for programs.
  private struct WarningLine: Encodable {
    var type = "warning"
    var message: String
  }

  /// An error for programs.
  private struct ErrorLine: Encodable {
    var type = "error"
    var message: String
    var status: Int32
  }
}

/// What a command says at its end, in either form.
protocol CommandReport {
  /// What programs get; `type` is `report`.
  associatedtype JSON: Encodable
  /// What programs get.
  var json: JSON { get }
  /// What people are told on standard error: lines, each with its newline.
  var text: String { get }
  /// What people asked for, on standard output, unless they asked for JSON.
  var table: String { get }
  /// What is not as it was to be though the work was done; `nil` if all is.
  var problem: String? { get }
}

extension CommandReport {
  /// Nothing: the command makes files.
  var table: String { "" }
  /// Nothing.
  var problem: String? { nil }
  fileprivate var jsonLine: String { JSONText.line(json) }
  fileprivate var jsonDocument: String { JSONText.document(json) }
}
