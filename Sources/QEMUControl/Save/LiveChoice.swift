import LinuxIO
public import MappedRAM
import MappedRAMFormat

/// What a live save goes by that can be no snapshot, and whose engine is ours to choose: rounds of a capture, or QEMU's own live save.
///
/// A capture in rounds reads all memory once more in the pause, as only hashes tell what has changed: its downtime grows with the RAM.
/// QEMU knows what has changed, and writes that alone; but it begins anew, with all memory, and by one channel. So rounds come first,
/// which are nearly always enough for a small VM, and show how fast the guest changes memory, and how fast that is read and written here.
public struct LiveChoice: Equatable, Sendable {
  /// How long the VM may be paused.
  public var wanted: Duration
  /// The rounds that had been made when it was decided.
  public var rounds: Int
  /// What followed from them for a pause after rounds.
  public var forecast: LiveForecast
  /// How long QEMU was expected to pause the VM; `nil` where it was out of the question, or too little was known.
  public var qemuDowntime: Duration?
  /// Why QEMU's own live save was out of the question.
  public var obstacles: [SaveObstacle]
  /// Whether it was taken.
  public var takesQEMU: Bool

  /// Whether rounds were expected to pause the VM for longer than it may be.
  public var roundsTakeTooLong: Bool { forecast.expectedDowntime > wanted }
}

extension LiveChoice {
  /// What QEMU's pause takes besides writing: it flushes the disks, looks once more at what has changed, and writes the devices' state.
  ///
  /// (Measured: see "Live saves" on the page Performance of the module `MappedRAM`.)
  static func overhead(_ ram: ByteCount) -> Duration {
    .seconds(baseSeconds + secondsPerGiB * Double(ram.rawValue) / Double(1 << 30))
  }

  private static let baseSeconds = 0.02
  private static let secondsPerGiB = 0.003

  /// The choice after `rounds`, of which there is at least one, and from which `step` follows for more of them.
  ///
  /// QEMU is taken where it is expected to keep what is wanted, and rounds are not: since reading all memory alone takes longer, or since
  /// further rounds would not help. Where neither keeps it, the rounds that have been made are worth more.
  init(
    after rounds: [LiveRound], _ step: LiveStep, wanted: Duration, ram: ByteCount,
    obstacles: [SaveObstacle]
  ) {
    let forecast = LiveForecast(after: rounds)
    self.wanted = wanted
    self.rounds = rounds.count
    self.forecast = forecast
    self.obstacles = obstacles
    takesQEMU = false
    guard obstacles.isEmpty, let reading = forecast.readingDowntime,
      let writing = forecast.writingDowntime
    else { return }
    let expected = writing + Self.overhead(ram)
    qemuDowntime = expected
    guard step != .pause, expected <= wanted else { return }
    takesQEMU = reading > wanted || step == .doesNotConverge
  }
}
