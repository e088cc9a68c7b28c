import LinuxIO
import MappedRAM

/// Shows the progress of a transfer from a thread of its own, until it goes.
struct ProgressReporter: ~Copyable {
  private let isOver: Monitor<Bool>
  /// Joined when the value goes, after `deinit`.
  private let thread: PosixThread<Void, Never>?

  /// How often is looked.
  static let interval = Duration.milliseconds(200)

  /// Writes lines while the progress may be on show, which then continues below them.
  static func writeAbove(_ text: String) {
    Console.writeError(text, erasesLine: Console.errorIsTerminal)
  }

  /// Shows `progress` as `mode` says; `label` says what is being done.
  ///
  /// - Throws: what pthread_create gives.
  init(_ mode: ProgressMode, _ label: String, _ progress: TransferProgress) throws(SystemCallError)
  {
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
    _ label: String, _ progress: TransferProgress, until isOver: Monitor<Bool>
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
    _ label: String, _ progress: TransferProgress, until isOver: Monitor<Bool>
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
    _ progress: TransferProgress, since start: ContinuousClock.Instant
  ) -> ProgressSample {
    // What is done is read before the total, so that it never seems to be more.
    let (done, written) = (progress.doneBytes, progress.writtenBytes)
    return ProgressSample(
      elapsed: ContinuousClock.now - start, totalBytes: progress.totalBytes, doneBytes: done,
      writtenBytes: written, live: progress.live)
  }
}

/// How far a transfer is at a moment.
struct ProgressSample: Equatable, Sendable {
  /// Since the beginning.
  var elapsed: Duration
  /// Bytes of guest memory that have to be looked at.
  var totalBytes: UInt64
  /// Those that have been dealt with.
  var doneBytes: UInt64
  /// Bytes written so far.
  var writtenBytes: UInt64
  /// Of a live save; what is done counts anew in each round.
  var live: LiveProgress?
}

/// The recent rate of a transfer, and what follows from it.
struct RateEstimate: Sendable {
  private var samples: [ProgressSample] = []

  /// How far back "recent" reaches: long enough to be steady, short enough to follow a change.
  static let window = Duration.seconds(5)

  /// Takes a sample, later than all before.
  mutating func add(_ sample: ProgressSample) {
    // A new round counts anew.
    if let last = samples.last, sample.doneBytes < last.doneBytes { samples = [] }
    samples.append(sample)
    while samples.count > 2, sample.elapsed - samples[1].elapsed >= Self.window {
      samples.removeFirst()
    }
  }

  /// Bytes of guest memory in a second, once there are two samples.
  var bytesPerSecond: Double? {
    guard let first = samples.first, let last = samples.last, last.elapsed > first.elapsed else {
      return nil
    }
    return Double(last.doneBytes - first.doneBytes) / (last.elapsed - first.elapsed).inSeconds
  }

  /// The time that the rest takes at this rate; `nil` if nothing moves.
  var timeLeft: Duration? {
    guard let last = samples.last, let rate = bytesPerSecond, rate > 0 else { return nil }
    return .seconds(Double(last.totalBytes - min(last.doneBytes, last.totalBytes)) / rate)
  }
}

/// What a progress line says.
enum ProgressLine {
  /// The line for people: `save   38%  24.3 GiB of 64.0 GiB  2.41 GiB/s  17 s left`.
  static func text(_ label: String, _ sample: ProgressSample, _ estimate: RateEstimate) -> String {
    let label = sample.live.map { "\(label)  \(text($0))" } ?? label
    guard sample.totalBytes > 0 else { return "\(label)  reading the headers" }
    guard sample.doneBytes < sample.totalBytes else {
      return "\(label)  100%  \(NumberText.bytes(sample.totalBytes))  waiting for the disk"
    }
    let percent = Int(Double(sample.doneBytes) / Double(sample.totalBytes) * 100)
    var parts = [
      label, "\(String(repeating: " ", count: percent < 10 ? 2 : 1))\(percent)%",
      "\(NumberText.bytes(sample.doneBytes)) of \(NumberText.bytes(sample.totalBytes))",
    ]
    if let rate = estimate.bytesPerSecond { parts.append(NumberText.rate(bytesPerSecond: rate)) }
    if let left = estimate.timeLeft { parts.append("\(NumberText.roughDuration(left)) left") }
    return parts.joined(separator: "  ")
  }

  /// `round 3  120 MiB/s dirty  downtime 210 ms`
  private static func text(_ live: LiveProgress) -> String {
    var parts = ["round \(live.round)"]
    if let rate = live.dirtyBytesPerSecond { parts.append("\(NumberText.bytes(rate))/s dirty") }
    if let pause = live.expectedDowntime {
      parts.append("downtime \(NumberText.fixed(pause.inSeconds * 1000, places: 0)) ms")
    }
    return parts.joined(separator: "  ")
  }

  /// The line for programs. In a live save it has `round`, `dirtyBytesPerSecond` and `expectedDowntimeSeconds` as well.
  ///
  /// ```json
  /// {"doneBytes":26092077056,"elapsedSeconds":10.2,"phase":"save","totalBytes":68719476736,"type":"progress","writtenBytes":20401094656}
  /// ```
  struct JSON: Encodable {
    var type = "progress"
    var phase: String
    var elapsedSeconds: Double
    var totalBytes: UInt64
    var doneBytes: UInt64
    var writtenBytes: UInt64
    var round: Int?
    var dirtyBytesPerSecond: UInt64?
    var expectedDowntimeSeconds: Double?

    init(_ phase: String, _ sample: ProgressSample) {
      self.phase = phase
      elapsedSeconds = sample.elapsed.inSeconds
      totalBytes = sample.totalBytes
      doneBytes = sample.doneBytes
      writtenBytes = sample.writtenBytes
      round = sample.live?.round
      dirtyBytesPerSecond = sample.live?.dirtyBytesPerSecond
      expectedDowntimeSeconds = sample.live?.expectedDowntime?.inSeconds
    }
  }
}
