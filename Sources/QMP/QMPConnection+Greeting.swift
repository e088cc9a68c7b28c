import LinuxIO
import MappedRAMFormat
import SystemPackage

extension QMPConnection {
  /// Waits for the greeting, past anything that comes before it, and leaves the negotiation mode.
  ///
  /// Nothing is sent before the greeting: what listens may be no QEMU.
  func greet(deadline: ContinuousClock.Instant, after timeout: Duration) throws(QMPError) {
    var junk: String?
    while true {
      do throws(QMPError) {
        switch try nextMessage(for: nil, deadline: deadline) {
        case .greeting(let greeting):
          version = QEMUVersion(greeting["version"])
          // Whoever greets answers; a greeting at the last moment still gets its answer.
          let left = ContinuousClock.now.duration(to: deadline)
          return try negotiate(timeout: max(left, .seconds(1)))
        case nil:
          guard let found = junk ?? lines.restText else { throw .noGreeting(path, after: timeout) }
          throw .notQMP(path, found: found)
        default:
          junk = junk ?? "an answer to another client"
        }
      } catch {
        switch error {
        case .malformed(_, .tooLong), .closed(nil, _):
          // Whoever says something else and then closes is no QEMU.
          guard let found = junk ?? lines.restText else { throw error }
          throw .notQMP(path, found: found)
        case .malformed:
          junk = junk ?? lines.lastText
        default:
          throw error
        }
      }
    }
  }

  /// Leaves the negotiation mode, in which QEMU accepts no other command.
  ///
  /// No capability is asked for: with `oob`, answers may come out of order. A QEMU that has left
  /// the mode before says CommandNotFound (tried with 10.0.2), which is as good.
  func negotiate(timeout: Duration) throws(QMPError) {
    do throws(QMPError) {
      _ = try execute("qmp_capabilities", timeout: timeout)
    } catch {
      guard case .refused(_, "CommandNotFound", _) = error else { throw error }
    }
  }
}
