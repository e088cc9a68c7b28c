import Glibc
import LinuxIO
import MappedRAMFormat

/// A VM that stands still for a save, and is let go on whatever happens.
///
/// If this process ends without a word, a watchdog lets the VM go on in its place.
final class StandStill {
  private let connection: QMPConnection
  /// QEMU's process, where it can be seen.
  private let processID: Int32?
  /// Whether the VM ran when it was found.
  let ran: Bool
  private let start: ContinuousClock.Instant
  /// How long it stood still; `nil` for a VM that did not run before, or stands still yet.
  private(set) var pause: Duration?
  /// Whether QEMU stops the VM by itself, later than now.
  private let isStoppedByQEMU: Bool
  private var isOver = false
  /// Whether QEMU did not come back for as long as was waited.
  private var isOutOfReach = false
  private var watchdog: Watchdog?
  /// The way back to what the VM was before.
  private let steps: [UndoStep]

  /// Stops `vm`, if it runs.
  ///
  /// - Parameters:
  ///   - undoing: what has to be done before the VM goes on where the save fails, or this process ends without a word.
  ///   - afterwards: what has to be done then as well, once it goes on.
  ///   - stopping: false where QEMU itself will stop the VM, later.
  init(
    _ connection: QMPConnection, _ vm: RunningVM, undoing: [UndoStep] = [],
    afterwards: [UndoStep] = [], stopping: Bool = true
  ) throws(VMError) {
    self.connection = connection
    isStoppedByQEMU = !stopping
    processID = vm.possibleProcesses.first
    ran = vm.runState.isLive
    start = .now
    steps = undoing + (ran ? [.goOn] : []) + afterwards
    if !steps.isEmpty {
      watchdog = try system { () throws(SystemCallError) in
        try Watchdog(
          descriptor: connection.socket.descriptor, script: Self.script(steps),
          patience: Self.patience.watchdog)
      }
    }
    try endingIfFailed { () throws(VMError) in
      // Disks are flushed before the answer comes. A VM that somebody else has paused for a moment is to stay so as well.
      try talking { () throws(QMPError) in
        if stopping { try connection.execute(.stop) }
        _ = try connection.takeEvents()
      }
    }
  }

  /// Runs `body`; where it fails, all is undone, and the VM goes on as before.
  func endingIfFailed<Value>(
    _ body: () throws(VMError) -> Value
  ) throws(VMError) -> Value {
    do throws(VMError) {
      return try body()
    } catch {
      do throws(QMPError) {
        try undo()
      } catch let reason {
        if isGone { throw .gone }
        throw ran ? .leftPaused(cause: error, reason: reason) : error
      }
      throw error
    }
  }

  /// Lets the VM go on, if it ran. Once is enough.
  ///
  /// Where the connection is broken, a new one is tried.
  func end() throws(QMPError) {
    guard !isOver else { return }
    if ran {
      try take(.goOn)
      pause = try isStoppedByQEMU ? pauseByEvents() : .now - start
    }
    finish()
  }

  /// From the first STOP to the last RESUME, or to now where there is none: QEMU says when they were.
  private func pauseByEvents() throws(QMPError) -> Duration? {
    let events = try connection.takeEvents()
    guard let stop = events.first(where: { $0.name == "STOP" }) else { return nil }
    let end = events.last { $0.name == "RESUME" } ?? events.last ?? stop
    return .microseconds(Int64(clamping: end.microseconds) - Int64(clamping: stop.microseconds))
  }

  /// Takes all steps. One that QEMU refuses does not keep the next ones from being taken.
  private func undo() throws(QMPError) {
    guard !isOver else { return }
    var refusal: QMPError?
    for step in steps where !step.needsMigration || mayBeMigrating {
      do throws(QMPError) {
        try take(step)
      } catch {
        guard case .refused = error else { throw error }
        refusal = error
      }
    }
    finish()
    if let refusal { throw refusal }
  }

  /// Whether a migration is under way, as far as it can be told.
  private var mayBeMigrating: Bool {
    do throws(QMPError) {
      return try connection.execute(.queryMigrate).isUnderWay
    } catch {
      return true
    }
  }

  /// How long a step may be too early, and how long QEMU may be out of reach.
  private static let patience = (
    refused: Duration.seconds(30), gone: Duration.seconds(10), watchdog: Duration.seconds(300)
  )

  /// Takes `step`, over a new connection where the old one is broken.
  func take(_ step: UndoStep) throws(QMPError) {
    sleep(for: step.delay)
    let deadline = ContinuousClock.now + Self.patience.refused
    var ending = FileMigration.Ending(true)
    while true {
      do throws(QMPError) {
        if try send(step, &ending) || ContinuousClock.now >= deadline { return }
      } catch {
        guard case .refused = error else { throw error }
        guard step.repetition == .whileRefused else { return }
        guard ContinuousClock.now < deadline else { throw error }
      }
      sleep(for: FileMigration.Ending.interval)
    }
  }

  /// Sends the command of `step`; whether that was enough.
  private func send(
    _ step: UndoStep, _ ending: inout FileMigration.Ending
  ) throws(QMPError) -> Bool {
    try reconnecting { () throws(QMPError) in
      guard step.repetition == .untilIdle else {
        try connection.execute(step.command)
        return true
      }
      let info = try connection.execute(.queryMigrate)
      return !info.isUnderWay || ending.isTime(info)
    }
  }

  /// Runs `body`, and once more over a new connection where the old one is broken.
  private func reconnecting<Value>(
    _ body: () throws(QMPError) -> Value
  ) throws(QMPError) -> Value {
    do throws(QMPError) {
      return try body()
    } catch {
      if case .refused = error { throw error }
      try reconnect()
      return try body()
    }
  }

  /// Whether QEMU has ended.
  private var isGone: Bool {
    guard let processID else { return false }
    return kill(processID, 0) != 0 && errno == ESRCH
  }

  private func reconnect() throws(QMPError) {
    let deadline = ContinuousClock.now + (isOutOfReach ? .zero : Self.patience.gone)
    while true {
      do throws(QMPError) {
        return try connection.reconnect()
      } catch {
        guard ContinuousClock.now < deadline, !isGone else {
          isOutOfReach = true
          throw error
        }
        usleep(50_000)
      }
    }
  }

  /// Notes that the VM could go on now, but is to stay as it is.
  func endPause() { if ran, !isStoppedByQEMU { pause = .now - start } }

  /// Looks whether the VM has stood still all the time.
  ///
  /// - Throws: `resumedMeanwhile` where somebody else has let it go on: what was read then does not fit together.
  func check() throws(VMError) {
    let goesOn = try talking { () throws(QMPError) -> Bool in
      // Events are lost with an old connection; the state is not.
      let state = try reconnecting { () throws(QMPError) in
        try connection.execute(.queryStatus)
      }
      let events = try connection.takeEvents()
      return state.isLive || events.contains { $0.name == "RESUME" }
    }
    if goesOn { throw .resumedMeanwhile }
  }

  /// Leaves the VM as it stands: it is to be so.
  func finish() {
    isOver = true
    watchdog = nil
  }

  private static func script(_ steps: [UndoStep]) -> [Watchdog.Step] {
    steps.enumerated().map { number, step in
      let command = step.command
      let id = "mapped-ram-watchdog-\(number)"
      let line: JSONValue = [
        "execute": .string(command.name), "arguments": command.arguments, "id": .string(id),
      ]
      return Watchdog.Step(
        line: Array((line.text + "\n").utf8), answer: Array("\"\(id)\"".utf8),
        repetition: repetition(step.repetition), delay: step.delay)
    }
  }

  /// What the watchdog makes of it: it cannot read JSON, and looks at one number.
  private static func repetition(_ repetition: UndoStep.Repetition) -> Watchdog.Step.Repetition {
    switch repetition {
    case .never: .never
    case .whileRefused: .whileRefused
    case .untilIdle: .untilSteady(Array(#""transferred": "#.utf8))
    }
  }
}
