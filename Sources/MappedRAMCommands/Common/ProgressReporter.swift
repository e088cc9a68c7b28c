import LinuxIO
import MappedRAM

/// Shows the progress of a transfer from a thread of its own, until it goes.
struct ProgressReporter: ~Copyable {
  private let isOver: Monitor<Bool>
  /// Joined when the value goes, after `deinit`.
  private let thread: PosixThread<Void, Never>?

  /// How often is looked.
  static let interval = Duration.milliseconds(200)

  /// Writes lines while the progress may be on show, which then goes on below them.
  static func writeAbove(_ text: String) {
    Console.writeError(text, erasesLine: Console.errorIsTerminal)
  }

  /// Shows `progress` as `mode` says; `label` says what is going on.
  ///
  /// - Throws: what pthread_create gives.
  init(_ mode: ProgressMode, _ label: String, _ progress: Progress) throws(SystemCallError) {
    let isOver = Monitor(false)
    self.isOver = isOver
    switch mode {
    case .auto where Console.errorIsTerminal:
      thread = try PosixThread(name: "progress") { Self.drawLines(label, progress, until: isOver) }
    case .json:
      thread = try PosixThread(name: "progress") { Self.writeJSON(label, progress, until: isOver) }
    case .auto, .none:
      thread = nil
    }
  }

  /// Ends the show: erases the line, or writes the last one.
  consuming func finish() {}

  deinit { isOver.withLock { $0 = true } }

  private static func drawLines(
    _ label: String, _ progress: Progress, until isOver: Monitor<Bool>
  ) {
    var estimate = RateEstimate()
    let start = ContinuousClock.now
    estimate.add(sample(progress, since: start))
    while isOver.wait(for: interval, until: { $0 ? true : nil }) == nil {
      let sample = sample(progress, since: start)
      estimate.add(sample)
      Console.writeError(ProgressLine.text(label, sample, estimate), erasesLine: true)
    }
    Console.writeError("", erasesLine: true)
  }

  /// One line at each look, and one at the end.
  private static func writeJSON(
    _ label: String, _ progress: Progress, until isOver: Monitor<Bool>
  ) {
    let start = ContinuousClock.now
    var isLast = false
    while !isLast {
      isLast = isOver.wait(for: interval, until: { $0 ? true : nil }) != nil
      let line = ProgressLine.JSON(label, sample(progress, since: start))
      Console.writeError(JSONText.line(line))
    }
  }

  private static func sample(
    _ progress: Progress, since start: ContinuousClock.Instant
  ) -> ProgressSample {
    // What is done is read before the total, so that it never seems to be more.
    let (done, written) = (progress.doneBytes, progress.writtenBytes)
    return ProgressSample(
      elapsed: ContinuousClock.now - start, totalBytes: progress.totalBytes, doneBytes: done,
      writtenBytes: written, live: progress.live)
  }
}
