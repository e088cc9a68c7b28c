import LinuxIO
import MappedRAM
import MappedRAMFormat
import QMP
import SystemPackage

/// A migration that QEMU carries out, out of or into a file, watched from here.
struct FileMigration {
  let connection: QMPConnection
  /// The file as this process knows it, for errors.
  let path: FilePath
  /// Whether QEMU writes with multifd, so that the migration is cancelled with care.
  var hasChannels = false
  /// How the VM is saved while it runs; `nil` for one that is paused.
  var live: LiveOptions?
  /// The session of a save, which notes what is done.
  var session: VMSession?

  /// States of a migration in which the VM runs.
  private static let rounds: Set<MigrationInfo.Status> = [
    .none, MigrationInfo.Status(rawValue: "setup"), .active,
  ]

  /// How often QEMU is asked how far it is: at first, and later on.
  static let intervals = (
    shortest: Duration.milliseconds(1), longest: Duration.milliseconds(50),
    live: Duration.milliseconds(10)
  )

  /// The parameters of a migration that all but stands still: less per tenth of a second than one batch of pages, which QEMU then
  /// sends all the same. (Of 1 byte per second a tenth is 0, which is no limit.)
  static let crawl: [String: JSONValue] = ["max-bandwidth": 1000]

  /// Lets the VM be saved to `uri`. Returns once it is `completed`, with the rounds that it took.
  @discardableResult func save(
    to uri: String, _ progress: Progress, _ cancellation: Cancellation
  ) throws(VMError) -> Int {
    session?.note { $0.migration = .intended }
    do throws(QMPError) {
      try connection.execute(.migrate(uri: uri))
    } catch {
      // The migration under way, if there is one, is somebody else's.
      if case .refused = error { session?.note { $0.migration = nil } }
      throw .qmp(error)
    }
    session?.note { $0.migration = .accepted }
    return try wait(progress, cancellation, canCancel: true)
  }

  /// Lets the waiting VM load `uri`. Returns once it is `completed`.
  func load(
    from uri: String, _ progress: Progress, _ cancellation: Cancellation
  ) throws(VMError) {
    try talking { () throws(QMPError) in try connection.startIncoming(uri: uri) }
    _ = try wait(progress, cancellation, canCancel: false)
  }

  /// Waits for the end.
  private func wait(
    _ progress: Progress, _ cancellation: Cancellation, canCancel: Bool
  ) throws(VMError) -> Int {
    var interval = Self.intervals.shortest
    let longest = live == nil ? Self.intervals.longest : Self.intervals.live
    var ending: Ending?
    var rounds = MigrationRounds()
    var stuck: PlanError?
    while true {
      let info = try talking { () throws(QMPError) in
        try connection.execute(.queryMigrate)
      }
      if let ram = info.ram {
        progress.report(
          totalBytes: ram.total, doneBytes: ram.total - min(ram.remaining, ram.total),
          writtenBytes: ram.transferred)
      }
      if live != nil, let status = info.status, !Self.rounds.contains(status) {
        try session?.beginExpectedPause()
      }
      if let live, let found = rounds.take(info) {
        progress.report(found)
        if ending == nil, stuck == nil, let error = rounds.stuck(live) {
          stuck = error
          // A guest that stands still changes nothing more: QEMU comes to its end.
          if live.whenStuck == .pause { try session?.pauseMigrating() }
        }
      }
      switch info.status {
      case .completed:
        session?.note { $0.migration = .completed }
        return rounds.number
      case .failed: throw .migrationFailed(path, reason: info.errorDescription)
      case .cancelled:
        guard ending != nil else { throw .migrationCancelled(path) }
        throw .image(stuck.map { .plan($0) } ?? .cancelled)
      default: break
      }
      if ending == nil, cancellation.isCancelled || (stuck != nil && live?.whenStuck == .fail) {
        guard canCancel else { throw .image(.cancelled) }
        ending = Ending(hasChannels)
        if hasChannels {
          try talking { () throws(QMPError) in
            try connection.execute(.setMigrationParameters(Self.crawl))
          }
        }
        interval = Ending.interval
      }
      if ending?.isTime(info) == true {
        try talking { () throws(QMPError) in try connection.execute(.migrateCancel) }
      }
      sleep(for: interval)
      if ending == nil { interval = min(interval * 2, longest) }
    }
  }
}

extension FileMigration {
  /// When a migration may be cancelled.
  ///
  /// With multifd, QEMU 10.0.2 frees the bitmaps of a mapped-ram file while its channels may still have pages to write, and
  /// the VM dies with it (SIGSEGV; tried: on a busy machine one cancellation in 17 with 8 channels, one in 30 with one). So it
  /// is made to crawl first, and cancelled just after a batch, when the channels are idle and the next batch is a tenth of a
  /// second away (tried: 4,000 cancellations on the same machine without a loss).
  struct Ending {
    /// How often to look.
    static let interval = Duration.milliseconds(20)
    /// After so many looks at which nothing moved, nothing will.
    static let patience = 15

    private var isAsked = false
    private let hasChannels: Bool
    private var last: UInt64?
    private var hasMoved = false
    private var looks = 0

    /// - Parameter hasChannels: whether there are channels to wait for.
    init(_ hasChannels: Bool) { self.hasChannels = hasChannels }

    /// Whether to cancel now, as the migration is at `info`. Once.
    mutating func isTime(_ info: MigrationInfo) -> Bool {
      guard !isAsked else { return false }
      isAsked = !hasChannels || isIdle(info)
      return isAsked
    }

    /// Whether the channels have nothing to do, and will not for a while. Before it is active, there is no telling when they
    /// begin; after it, in the last stage, nothing slows them down, and the end is near.
    private mutating func isIdle(_ info: MigrationInfo) -> Bool {
      guard info.status == .active, let transferred = info.ram?.transferred else { return false }
      defer { last = transferred }
      guard let last else { return false }
      guard transferred == last else {
        (hasMoved, looks) = (true, 0)
        return false
      }
      looks += 1
      return hasMoved || looks >= Self.patience
    }
  }
}
