import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMBench
import SystemPackage

/// The options of `mapped-ram bench` that say in which form it tells.
struct BenchOutput: ParsableArguments {
  @Flag(help: "Say what bounded each result, from the run's own measurements.")
  var explain = false

  @Option(
    help: ArgumentHelp("Draw the rates into this file, as SVG.", valueName: "file"),
    completion: .file(extensions: ["svg"]), transform: { FilePath($0) })
  var chart: FilePath?

  @Option(
    help: ArgumentHelp(
      "Compare the rates with those of an older run, which --json wrote.", valueName: "file"),
    completion: .file(extensions: ["json"]), transform: { FilePath($0) })
  var compare: FilePath?

  @Option(
    help: ArgumentHelp(
      "With --compare: end with status 1 if a median rate is below this part of the old one. (default: 0.9)",
      valueName: "ratio"))
  var failBelow: Double?

  func validate() throws {
    guard let failBelow else { return }
    guard compare != nil else { throw ValidationError("--fail-below is for --compare.") }
    guard failBelow > 0, failBelow <= 10 else {
      throw ValidationError("--fail-below is \(failBelow); expected more than 0, up to 10.")
    }
  }

  /// Writes the picture, if one is wanted.
  func draw(_ report: BenchReport) throws(CommandError) {
    guard let chart else { return }
    let size = NumberText.bytes(report.guest.size.byteCount)
    let picture = BenchChart.picture(
      report.rows,
      title: "mapped-ram bench: \(size) of RAM, \(NumberText.count(UInt64(report.rounds), "round"))"
    )
    try TextFile.writePicture(picture, to: chart)
  }

  /// The comparison with an older run, if one is wanted.
  func compared(
    _ report: BenchReport, with old: BenchJSON?
  ) throws(CommandError) -> BenchComparison? {
    guard let compare, let old else { return nil }
    return try BenchComparison(
      BenchJSON(report), with: old, at: compare, limit: failBelow ?? 0.9)
  }

  /// The older run; read before anything is measured, so that a file that cannot be compared is refused at once.
  func old() throws(CommandError) -> BenchJSON? {
    try compare.map { (path) throws(CommandError) in try BenchComparison.read(path) }
  }
}
