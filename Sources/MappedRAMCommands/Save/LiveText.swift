import LinuxIO
import MappedRAM

/// What is said of the rounds of a live save.
struct LiveText {
  var report: LiveReport

  /// A line for the rounds, one for how changes were found, and a note where the pause had to be longer.
  var lines: [String] {
    let written = report.rounds.map { NumberText.bytes($0.changedBytes) }.joined(separator: ", ")
    var rounds =
      "\(NumberText.count(UInt64(report.rounds.count), "round")) while the VM ran: \(written); "
      + "\(NumberText.bytes(report.lastRound.changedBytes)) while it stood still"
    if let rate = report.forecast?.dirtyBytesPerSecond {
      rounds += "; the guest changed \(NumberText.bytes(UInt64(rate))) a second"
    }
    var lines = [
      rounds,
      "Changes were found by hashes of all pages, read in each round; "
        + "they take \(NumberText.bytes(report.hashBytes)) of memory at most",
    ]
    if report.isStuck {
      lines.append(
        "Note: further rounds would not have made the pause shorter, so the VM was paused for longer than was wished."
      )
    }
    return lines
  }

  var json: JSON {
    JSON(
      rounds: report.rounds.map(Round.init), lastRound: Round(report.lastRound),
      dirtyBytesPerSecond: report.forecast?.dirtyBytesPerSecond.map { UInt64($0) },
      expectedPauseSeconds: report.forecast?.expectedPause.inSeconds, isStuck: report.isStuck,
      hashBytes: report.hashBytes, clearedPages: report.clearedPages)
  }

  /// What programs get.
  struct JSON: Encodable {
    var rounds: [Round]
    /// The one while the VM stood still.
    var lastRound: Round
    /// Absent after a single round.
    var dirtyBytesPerSecond: UInt64?
    var expectedPauseSeconds: Double?
    /// Whether the VM was paused though the pause would be longer than was wished.
    var isStuck: Bool
    var hashBytes: UInt64
    var clearedPages: Int
  }

  struct Round: Encodable {
    var readBytes: UInt64
    var changedBytes: UInt64
    var elapsedSeconds: Double

    init(_ round: LiveRound) {
      readBytes = round.readBytes
      changedBytes = round.changedBytes
      elapsedSeconds = round.elapsed.inSeconds
    }
  }
}
