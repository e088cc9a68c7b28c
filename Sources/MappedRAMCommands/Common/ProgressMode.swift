import ArgumentParser

/// How progress is shown on standard error.
enum ProgressMode: String, CaseIterable, ExpressibleByArgument, Sendable {
  /// A line that is renewed, if standard error is a terminal.
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
      Progress on standard error: a line on a terminal, JSON lines, or none. With json, the report and errors are \
      JSON lines as well, told apart by their type.
      """)
  var progress = ProgressMode.auto

  @Flag(help: "Print the report as JSON on standard output.")
  var json = false
}
