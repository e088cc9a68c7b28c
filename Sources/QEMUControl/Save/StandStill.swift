import LinuxIO
import MappedRAMFormat

/// A VM that stands still for a save, and is let go on whatever happens.
///
/// If this process ends without a word, a watchdog lets the VM go on in its place.
final class StandStill {
  private let connection: QMPConnection
  /// Whether the VM ran when it was found.
  let ran: Bool
  private let start: ContinuousClock.Instant
  /// How long it stood still; `nil` for a VM that did not run before, or stands still yet.
  private(set) var pause: Duration?
  private var isOver = false
  private var watchdog: Watchdog?

  /// Stops the VM, if it is in a running `state`.
  ///
  /// - Parameter undoing: what has to be done before the VM goes on if this process ends without a word.
  init(
    _ connection: QMPConnection, state: RunState,
    undoing: [QMPCommand<Void>] = []
  ) throws(VMError) {
    self.connection = connection
    ran = state.isLive
    start = .now
    let commands = undoing + (ran ? [.cont] : [])
    if !commands.isEmpty {
      watchdog = try system { () throws(SystemCallError) in
        try Watchdog(descriptor: connection.socket.descriptor, script: Self.script(commands))
      }
    }
    guard ran else { return }
    do throws(QMPError) {
      // Disks are flushed before the answer comes.
      try connection.execute(.stop)
    } catch {
      try? end()
      throw .qmp(error)
    }
  }

  /// Runs `body`; where it fails, the VM goes on as before.
  func endingIfFailed<Value>(
    _ body: () throws(VMError) -> Value
  ) throws(VMError) -> Value {
    do throws(VMError) {
      return try body()
    } catch {
      do throws(QMPError) {
        try end()
      } catch let reason {
        throw .leftPaused(cause: error, reason: reason)
      }
      throw error
    }
  }

  /// Lets the VM go on, if it ran. Once is enough.
  ///
  /// Where the connection is broken, a new one is tried.
  func end() throws(QMPError) {
    guard !isOver else { return }
    guard ran else {
      finish()
      return
    }
    do throws(QMPError) {
      try connection.execute(.cont)
    } catch {
      try connection.reconnect()
      try connection.execute(.cont)
    }
    pause = .now - start
    finish()
  }

  /// Leaves the VM as it stands: it is to be so.
  func finish() {
    isOver = true
    watchdog = nil
  }

  private static func script(
    _ commands: [QMPCommand<Void>]
  ) -> [Watchdog.Step] {
    commands.enumerated().map { number, command in
      let id = "mapped-ram-watchdog-\(number)"
      let line: JSONValue = [
        "execute": .string(command.name), "arguments": command.arguments, "id": .string(id),
      ]
      // Settings cannot be changed until a migration has come to its end.
      return Watchdog.Step(
        line: Array((line.text + "\n").utf8), answer: Array("\"\(id)\"".utf8),
        retries: command.name != "migrate_cancel")
    }
  }
}
