/// What a VM was doing: the name of one of QEMU's run states, like `running` or `paused`.
public struct RunState: RawRepresentable, Hashable, Sendable {
  /// The name, as `query-status` gives it.
  public var rawValue: String

  /// The state of that name.
  public init(rawValue: String) { self.rawValue = rawValue }

  /// The processors run.
  public static let running = RunState(rawValue: "running")
  /// They were stopped by somebody.
  public static let paused = RunState(rawValue: "paused")
  /// They have not been started yet.
  public static let prelaunch = RunState(rawValue: "prelaunch")
  /// The guest sleeps.
  public static let suspended = RunState(rawValue: "suspended")

  /// Whether a destination runs a VM of this state at once, unless it was started with `-S`.
  public var runsAtOnce: Bool { self == .running || self == .suspended }
}

/// The beginning of the section `globalstate`, which says what the VM was doing when it was saved.
///
/// | offset | size | byte order | meaning |
/// | --- | --- | --- | --- |
/// | 0 | 4 | big | length of the name, the zero behind it included |
/// | 4 | 32 | | name of the run state, padded with zeros |
/// | 36 | 1 | | whether the next byte means something (QEMU 9.0 and later) |
/// | 37 | 1 | | whether the guest was asleep when it was stopped |
/// | 38 | 66 | | zeros |
///
/// Before QEMU 9.0 the name had all of the 100 bytes after the length; no state's name is longer than 14. Sources: QEMU v10.0.2,
/// `migration/global_state.c`; observed on images of four architectures.
public struct GlobalState: Equatable, Sendable {
  /// What the VM was doing.
  public var runState: RunState
  /// Whether the guest sleeps, also under a pause, as far as it is told.
  public var isAsleep: Bool

  /// The section's idstr.
  public static let idstr = "globalstate"
  /// Bytes that say something: the length, the name, and the two behind them.
  package static let tellingByteCount = byteCount + 2
  /// Bytes of the length and the name.
  public static let byteCount = 4 + nameBytes
  private static let nameBytes = 32

  /// That of a VM in `runState`.
  package init(_ runState: RunState) {
    self.runState = runState
    isAsleep = runState == .suspended
  }

  /// Reads the section's body.
  ///
  /// - Throws: `truncated`; `nameEmpty`; `nameNotPrintable`.
  package init(parsing input: inout ByteInput) throws(FormatError) {
    let context = FormatError.Context.section(Self.idstr)
    try input.require(Self.byteCount, in: context)
    var name = input
    try name.skip(4, in: context)
    let count = name.firstIndex(of: [0]) ?? Self.nameBytes
    runState = RunState(rawValue: try name.readName(min(count, Self.nameBytes), in: context))
    let tells = [input.peek(Self.byteCount), input.peek(Self.byteCount + 1)] == [1, 1]
    isAsleep = runState == .suspended || tells
    try input.skip(Self.byteCount, in: context)
  }

  /// Appends the first 36 bytes of the section's body.
  ///
  /// - Precondition: the name has at most 31 bytes.
  package func encode(into output: inout ByteOutput) {
    let name = Array(runState.rawValue.utf8)
    precondition(name.count < Self.nameBytes, "a zero ends the name")
    output.writeBigEndian(UInt32(name.count + 1))
    output.write(name)
    output.write(repeatElement(0, count: Self.nameBytes - name.count))
  }
}
