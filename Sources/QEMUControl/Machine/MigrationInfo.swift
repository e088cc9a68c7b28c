import MappedRAMFormat
import QMP

/// How far a migration is.
public struct MigrationInfo: Equatable, Sendable {
  /// `nil` where there was none yet.
  public var status: Status?
  /// What is done of RAM; `nil` before it begins.
  public var ram: RAM?
  /// QEMU's reason, where it failed.
  public var errorDescription: String?
  /// Why this VM cannot be migrated now; empty where it can. Devices that cannot migrate are among
  /// them (tried with QEMU 10.0.2).
  public var blockedReasons: [String]
  /// From the begin to now or to the end.
  public var totalMilliseconds: UInt64?
  /// How long QEMU expects the VM to be stopped.
  public var expectedDowntimeMilliseconds: UInt64?
  /// How long the VM was stopped, at the end.
  public var downtimeMilliseconds: UInt64?

  /// QEMU's own words for the state of a migration, also those that are not named here.
  public struct Status: RawRepresentable, Hashable, Sendable {
    /// QEMU's word.
    public var rawValue: String

    /// The state with QEMU's word `rawValue`.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Never begun.
    public static let none = Status(rawValue: "none")
    /// It has begun.
    public static let setup = Status(rawValue: "setup")
    /// RAM is being moved.
    public static let active = Status(rawValue: "active")
    /// Done.
    public static let completed = Status(rawValue: "completed")
    /// Failed, with `errorDescription`.
    public static let failed = Status(rawValue: "failed")
    /// Ended on request.
    public static let cancelled = Status(rawValue: "cancelled")

    /// Whether nothing more will happen: none, completed, failed or cancelled. Any other word,
    /// also one that is not known, is a migration under way.
    public var isOver: Bool {
      [.none, .completed, .failed, .cancelled].contains(self)
    }
  }

  /// What is done of RAM.
  public struct RAM: Equatable, Sendable {
    /// Bytes written so far.
    public var transferred: UInt64
    /// Bytes still to look at in this round.
    public var remaining: UInt64
    /// Bytes of RAM.
    public var total: UInt64
    /// Pages written so far.
    public var normalPages: UInt64
    /// Zero pages so far.
    public var zeroPages: UInt64
    /// Rounds, the present one included.
    public var rounds: UInt64 = 0
    /// Bytes of pages that the guest dirties in a second; 0 where QEMU does not know yet.
    public var dirtyBytesPerSecond: UInt64 = 0
  }

  /// Whether a migration is under way.
  public var isUnderWay: Bool { status.map { !$0.isOver } ?? false }
}

extension MigrationInfo {
  /// Reads the answer to query-migrate.
  init(_ answer: QMPAnswer) throws(QMPError) {
    status = try answer.optional("status").map { status throws(QMPError) in
      Status(rawValue: try status.string())
    }
    ram = try answer.optional("ram").map { ram throws(QMPError) in
      RAM(
        transferred: try ram.member("transferred").unsigned(),
        remaining: try ram.member("remaining").unsigned(),
        total: try ram.member("total").unsigned(),
        normalPages: try ram.optional("normal")?.unsigned() ?? 0,
        zeroPages: try ram.optional("duplicate")?.unsigned() ?? 0,
        rounds: try ram.optional("dirty-sync-count")?.unsigned() ?? 0,
        dirtyBytesPerSecond: (try ram.optional("dirty-pages-rate")?.unsigned() ?? 0)
          &* (try ram.optional("page-size")?.unsigned() ?? 0))
    }
    errorDescription = try answer.optional("error-desc")?.string()
    blockedReasons = []
    for reason in try answer.optional("blocked-reasons")?.elements() ?? [] {
      blockedReasons.append(try reason.string())
    }
    totalMilliseconds = try answer.optional("total-time")?.unsigned()
    expectedDowntimeMilliseconds = try answer.optional("expected-downtime")?.unsigned()
    downtimeMilliseconds = try answer.optional("downtime")?.unsigned()
  }
}
