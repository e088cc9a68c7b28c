import Glibc
import LinuxIO
import MappedRAMFormat
import QMP
import SystemPackage

/// The one way back: undoes what a journal says, as far as it was really done.
///
/// The process that saves goes it where something fails, and its first half where all went well; a watchdog goes it in the place of a
/// process that is no more. Each part looks before it acts, and is taken out of the journal once it is done, so that it can be gone
/// again, over another connection, where it broke off.
struct Unwind {
  let connection: QMPConnection
  /// What is still to be undone.
  private(set) var journal: Journal { didSet { publish(journal) } }
  private let publish: (Journal) -> Void
  /// What a migration of ours that has completed has written of the VM's state; `nil` where that cannot be read.
  private let written: () -> GlobalState?

  /// - Parameter publish: is given the journal whenever something is done.
  init(
    _ journal: Journal, over connection: QMPConnection, written: @escaping () -> GlobalState?,
    publish: @escaping (Journal) -> Void
  ) {
    self.connection = connection
    self.journal = journal
    self.written = written
    self.publish = publish
  }

  /// Why a VM that we paused is not resumed.
  enum HandsOff: Equatable {
    /// Another client has migrated it, or it has come into a state that `cont` does not lead out of.
    case state(String)
    /// Its guest was asleep when QEMU saved it, and QEMU would not survive `cont`: it has no way from `postmigrate` to `suspended` (tried
    /// with 10.0.2).
    case asleep
  }

  /// How long is waited: for a migration to end, for QEMU to close what it wrote to, for a `cont` that is refused.
  struct Patience {
    var migration = Duration.seconds(30)
    var closing = Duration.seconds(5)
    var refusal = Duration.seconds(3)
  }

  /// Undoes everything.
  ///
  /// - Returns: why the VM was left alone, if it was.
  /// - Throws: `QMPError`: the last refusal of what could not be undone, or that the connection broke. The journal has what is left.
  mutating func run(_ patience: Patience = Patience()) throws(QMPError) -> HandsOff? {
    try endProtection(patience)
    try endMigration(patience)
    let handsOff = try resume(patience)
    var refusal: QMPError?
    do throws(QMPError) {
      try tidyUp(patience)
    } catch {
      if error.isEndOfConversation { throw error }
      refusal = error
    }
    // Of a VM that was moved away, the files are in use elsewhere.
    if case .state? = handsOff { journal.snapshots = [] }
    try takeBackSnapshots()
    if let refusal { throw refusal }
    return handsOff
  }

  // MARK: The migration

  /// Ends a background snapshot of ours that is under way: QEMU takes its protection off the guest's memory. Another client's migration
  /// is left alone.
  ///
  /// It has no channels, and is cancelled at once (tried: 4,900 cancellations at any moment, also where nobody read the stream, without a
  /// loss; QEMU 10.0.2 and 11.1.3).
  mutating func endProtection(_ patience: Patience) throws(QMPError) {
    guard journal.protection != nil else { return }
    let deadline = ContinuousClock.now + patience.migration
    var isAsked = false
    while try connection.execute(.queryMigrate).isUnderWay {
      if !isAsked {
        let capabilities = try connection.execute(.queryMigrationCapabilities)
        guard capabilities[BackgroundSnapshot.capability] == true else { break }
        try connection.execute(.migrateCancel)
        isAsked = true
      }
      guard ContinuousClock.now < deadline else {
        throw .timedOut(command: "migrate_cancel", connection.path, after: patience.migration)
      }
      sleep(for: BackgroundSnapshot.interval)
    }
    journal.protection = nil
  }

  /// Ends a migration of ours that is under way.
  ///
  /// With channels it is made to crawl first, and cancelled when they are idle, as `MigrationEnding` tells. Another client's is
  /// left alone.
  private mutating func endMigration(_ patience: Patience) throws(QMPError) {
    guard let migration = journal.migration, migration != .completed else { return }
    let deadline = ContinuousClock.now + patience.migration
    var ending = MigrationEnding()
    var crawls = false
    while true {
      let info = try connection.execute(.queryMigrate)
      guard info.isUnderWay else {
        // One that we only intended may not have begun: what is told is of an earlier one, then, which the VM's state shows.
        journal.migration = info.status == .completed ? .completed : nil
        return
      }
      if migration == .intended, !crawls, try !isOurs() {
        journal.migration = nil
        return
      }
      if !crawls {
        try connection.execute(.setMigrationParameters(MigrationEnding.crawl))
        crawls = true
      }
      if ending.isTime(info) { try connection.execute(.migrateCancel) }
      guard ContinuousClock.now < deadline else {
        throw .timedOut(
          command: "migrate_cancel", connection.path, after: patience.migration)
      }
      sleep(for: MigrationEnding.interval)
    }
  }

  /// Whether the migration under way, which may be the one that we were about to begin, goes by our settings.
  private func isOurs() throws(QMPError) -> Bool {
    try connection.execute(.queryMigrationCapabilities)[
      Configuration.mappedRAMCapability] == true
  }

  // MARK: The pause

  /// Resumes the VM if its pause is ours, and is one still.
  ///
  /// - Returns: why it was left alone, if it was.
  /// - Throws: `refused`, the last one, where QEMU does not resume it within the patience.
  mutating func resume(_ patience: Patience) throws(QMPError) -> HandsOff? {
    guard var pause = journal.pause, pause.isOurs else {
      if journal.migration == .completed { try takeDisks() }
      journal.pause = nil
      return nil
    }
    let deadline = ContinuousClock.now + patience.refusal
    var interval = Duration.milliseconds(20)
    while true {
      var refusal: QMPError?
      if !pause.isByMigration, try connection.hasEvent("RESUME") {
        // Whoever has resumed it has it in hand, also if it is paused again; unless a migration of ours has paused it.
        guard journal.migration == .completed else {
          journal.pause = nil
          return nil
        }
        pause.isByMigration = true
      }
      switch decide(pause, try connection.execute(.queryStatus)) {
      case .nothing:
        journal.pause = nil
        return nil
      case .takeDisks:
        try takeDisks()
        journal.pause = nil
        return nil
      case .leave(let reason):
        if reason == .asleep { try takeDisks() }
        journal.pause = nil
        return reason
      case .wait: break
      case .resume:
        do throws(QMPError) {
          try connection.execute(.cont)
          journal.pause = nil
          return nil
        } catch {
          guard case .refused = error else { throw error }
          refusal = error
        }
      }
      guard ContinuousClock.now < deadline else {
        throw refusal
          ?? .timedOut(command: "cont", connection.path, after: patience.refusal)
      }
      sleep(for: interval)
      interval = min(interval * 2, .seconds(1))
    }
  }

  private enum Decision {
    case resume, wait, takeDisks, nothing
    case leave(HandsOff)
  }

  /// What is to be done with a VM that we paused, and that is in `state` now.
  private func decide(_ pause: Journal.Pause, _ state: RunState) -> Decision {
    if state.isLive { return .nothing }
    switch state {
    // One that QEMU pauses by itself is in another state then: this is another client's pause.
    case .paused: return pause.isByMigration ? .nothing : .resume
    // The last moments of a migration.
    case .finishMigrate: return .wait
    case .postMigrate where journal.migration == .completed:
      let written = written()
      if written?.isAsleep == true { return .leave(.asleep) }
      // Another client paused it while it was saved.
      if pause.isByMigration, written?.runState.isLive == false { return .takeDisks }
      return .resume
    default: return .leave(.state(state.rawValue))
    }
  }

  /// Gives QEMU its disks back, which a migration that has completed takes from it. Before QEMU 10.0 only `cont` does.
  private func takeDisks() throws(QMPError) {
    guard journal.hadDisks else { return }
    do throws(QMPError) {
      try connection.execute(.blockdevSetActive(true))
    } catch .refused {
      // It has them, or cannot be told so.
    }
  }

  // MARK: Settings and descriptors

  /// Takes back descriptors and sets migration settings back.
  ///
  /// QEMU's clean-up after a migration still goes by the settings, and is over only once all that it opened is closed, whatever
  /// `query-migrate` says (QEMU 10.0.2, migration.c and multifd.c).
  mutating func tidyUp(_ patience: Patience) throws(QMPError) {
    if let name = journal.namedDescriptor {
      do throws(QMPError) {
        try connection.execute(.closeDescriptor(named: name))
      } catch .refused {
        // It never had it, or has used it.
      }
      journal.namedDescriptor = nil
    }
    if let set = journal.descriptorSet {
      do throws(QMPError) {
        try connection.execute(.removeDescriptor(set: set))
      } catch .refused {
        // It never had it, or has closed it.
      }
      if journal.settings != nil {
        let deadline = ContinuousClock.now + patience.closing
        while try connection.execute(.queryDescriptorSets).keys.contains(set) {
          guard ContinuousClock.now < deadline else {
            throw .timedOut(command: "remove-fd", connection.path, after: patience.closing)
          }
          sleep(for: .milliseconds(1))
        }
      }
      journal.descriptorSet = nil
    }
    if let settings = journal.settings {
      try restore(settings)
      journal.settings = nil
    }
    // While the VM is paused, it tells why its state is `postmigrate`.
    if journal.pause == nil { journal.migration = nil }
  }

  /// Sets back what still is as we set it: what another client has set since is theirs.
  private func restore(_ settings: ChangedSettings) throws(QMPError) {
    let capabilities = try connection.execute(.queryMigrationCapabilities)
    let turned = settings.capabilities.filter { capabilities[$0.key] == !$0.value }
    if !turned.isEmpty { try connection.execute(.setMigrationCapabilities(turned)) }
    let parameters = try connection.execute(.queryMigrationParameters)
    let changed = settings.parameters.filter { name, _ in
      guard let now = parameters[name] else { return false }
      // It may have been made to crawl.
      return now == settings.wanted[name] || now == MigrationEnding.crawl[name]
    }
    if !changed.isEmpty { try connection.execute(.setMigrationParameters(changed)) }
  }

  // MARK: Snapshots

  /// Lets the disks write to their old files again, with all that was written since, and removes the new ones.
  mutating func takeBackSnapshots() throws(QMPError) {
    guard !journal.snapshots.isEmpty else { return }
    let jobs = SnapshotJobs(connection: connection)
    try jobs.dismiss(Set(journal.snapshots.map(\.newNode)))
    var refusal: QMPError?
    for snapshot in journal.snapshots {
      do throws(QMPError) {
        if journal.snapshotsMayBeUsed { try jobs.takeBack(snapshot) }
        snapshot.removeFile()
        journal.snapshots.removeAll { $0 == snapshot }
      } catch {
        // Where QEMU says nothing any more, the rest is for another connection.
        if error.isEndOfConversation { throw error }
        refusal = refusal ?? error
      }
    }
    if let refusal { throw refusal }
    journal.snapshotsMayBeUsed = false
  }
}

extension DiskSnapshot {
  /// Removes the new file.
  func removeFile() {
    // SAFETY: the path's bytes end with a zero. A file that is not there was not made.
    _ = unsafe FilePath(file).withPlatformString { unsafe unlink($0) }
  }
}

/// When a migration may be cancelled.
///
/// With multifd, QEMU 10.0.2 frees the bitmaps of a mapped-ram file while its channels may still have pages to write, and
/// the VM dies with it (SIGSEGV; tried: on a busy machine one cancellation in 17 with 8 channels, one in 30 with one). So it
/// is made to crawl first, and cancelled just after a batch, when the channels are idle and the next batch is a tenth of a
/// second away (tried: 4,000 cancellations on the same machine without a loss).
struct MigrationEnding {
  /// How often to look.
  static let interval = Duration.milliseconds(20)
  /// The parameters of a migration that hardly moves: less per tenth of a second than one batch of pages, which QEMU then
  /// sends all the same. (Of 1 byte per second a tenth is 0, which is no limit.)
  static let crawl: [String: JSONValue] = ["max-bandwidth": 1000]
  /// After so many looks at which nothing moved, nothing will.
  static let patience = 15

  private var isAsked = false
  private var last: UInt64?
  private var hasMoved = false
  private var looks = 0

  /// Whether to cancel now, as the migration is at `info`. Once.
  mutating func isTime(_ info: MigrationInfo) -> Bool {
    guard !isAsked else { return false }
    isAsked = isIdle(info)
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
