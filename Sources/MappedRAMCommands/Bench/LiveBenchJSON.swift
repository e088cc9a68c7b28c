import LinuxIO
import MappedRAMBench
import MappedRAMFormat
import SystemPackage

/// A run of `bench --live` as programs get it.
///
/// ```json
/// {
///   "command" : "bench",
///   "directory" : "/var/tmp",
///   "memory" : "private",
///   "mode" : "live",
///   "rounds" : 5,
///   "rows" : [ { … } ],
///   "schemaVersion" : 1,
///   "seed" : 3735928559,
///   "timeLimitSeconds" : 120,
///   "type" : "report"
/// }
/// ```
struct LiveBenchJSON: Encodable, Equatable {
  var type = "report"
  var schemaVersion = JSONText.schemaVersion
  var command = "bench"
  /// What tells it from other runs of bench.
  var mode = "live"
  var directory: String
  var memory: String
  var seed: UInt64
  var rounds: Int
  /// How long one save could take.
  var timeLimitSeconds: Double
  var machine: BenchJSON.Machine
  var rows: [Row]

  /// One kind of save of one guest.
  struct Row: Encodable, Equatable {
    var mix: String
    var ramBytes: UInt64
    /// What the guest was told to change: bytes of pages a second; `nil` for as much as it can.
    @OrNull var dirtyRate: UInt64?
    /// What it changed in a second right before the saves; `nil` where nothing was looked at.
    @OrNull var dirtyBytesPerSecond: BenchJSON.Numbers?
    /// `stopped`, `snapshot`, `rounds`, `qemu`, `qemu-snapshot`.
    var save: String
    /// The layout that was asked for; `nil` for that of whoever saves.
    @OrNull var layout: String?
    @OrNull var downtimeSeconds: BenchJSON.Numbers?
    @OrNull var seconds: BenchJSON.Numbers?
    /// The median time as a multiple of that of the stopped save.
    @OrNull var timeOfStopped: Double?
    @OrNull var cpuSecondsPerGiB: Double?
    @OrNull var guestSpeed: BenchJSON.Numbers?
    /// How many saves were not done in time.
    var timeouts: Int
    /// How many did not converge; of the rounds of ours, which alone tell that.
    var notConverged: Int
    /// How many had a longer downtime than was asked for.
    var overDowntimeLimit: Int
    /// Why there was none at all.
    @OrNull var failure: String?
    /// The saves, as they were measured.
    var samples: [Sample]
  }

  /// One save.
  struct Sample: Encodable, Equatable {
    /// From its start to its durable end.
    var seconds: Double
    @OrNull var downtimeSeconds: Double?
    /// Bytes that were written to the file.
    @OrNull var writtenBytes: UInt64?
    /// Processor time of mapped-ram, and of QEMU without the guest's own.
    var cpuSeconds: Double
    var qemuCPUSeconds: Double
    /// The guest's speed during the save, as a part of its speed right before.
    var guestSpeed: Double
    /// Bytes of pages that the guest changed in a second during the save.
    var dirtyBytesPerSecond: Double
    /// Rounds while the VM ran.
    @OrNull var rounds: Int?
    /// Pages that QEMU sent to mapped-ram.
    @OrNull var sentPages: UInt64?
    @OrNull var converged: Bool?

    init(_ sample: LiveSample) {
      seconds = sample.seconds
      downtimeSeconds = sample.downtimeSeconds
      writtenBytes = sample.writtenBytes
      (cpuSeconds, qemuCPUSeconds) = (sample.cpuSeconds, sample.qemuCPUSeconds)
      (guestSpeed, dirtyBytesPerSecond) = (sample.guestSpeed, sample.dirtyBytesPerSecond)
      (rounds, sentPages) = (sample.rounds, sample.sentPages)
      converged = sample.isConverged
    }
  }

  init(_ report: LiveBenchReport) {
    directory = report.directory.string
    memory = report.memory
    (seed, rounds) = (report.seed, report.bench.rounds)
    timeLimitSeconds = report.bench.timeLimit.inSeconds
    machine = BenchJSON.Machine(report.facts)
    rows = report.rows.map { Row($0, among: report.rows) }
  }
}

extension LiveBenchJSON.Row {
  init(_ row: LiveRow, among rows: [LiveRow]) {
    let rate: UInt64? =
      if case .bytesPerSecond(let bytes) = row.key.dirtyRate { bytes } else { nil }
    self.init(
      mix: row.key.mix, ramBytes: row.ramBytes, dirtyRate: rate,
      dirtyBytesPerSecond: row.dirtyRates.isEmpty
        ? nil : BenchJSON.Numbers(Spread(row.dirtyRates)),
      save: row.key.way.rawValue, layout: row.key.layout?.rawValue,
      downtimeSeconds: row.spread(\.downtimeSeconds).map(BenchJSON.Numbers.init),
      seconds: row.spread(\.seconds).map(BenchJSON.Numbers.init),
      timeOfStopped: row.timeOfStopped(among: rows),
      cpuSecondsPerGiB: row.cpuSecondsPerGiB?.median,
      guestSpeed: row.spread(\.guestSpeed).map(BenchJSON.Numbers.init), timeouts: row.timeouts,
      notConverged: row.samples.count { $0.isConverged == false },
      overDowntimeLimit: row.samples.count { $0.isWithinDowntimeLimit == false },
      failure: row.failure,
      samples: row.samples.map(LiveBenchJSON.Sample.init))
  }
}
