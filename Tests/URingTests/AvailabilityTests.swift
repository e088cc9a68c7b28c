import Glibc
import LinuxIO
import SystemPackage
import Testing
import URing

@Suite struct AvailabilityTests {
  @Test func theProbeAgreesWithMakingARing() {
    do throws(SystemCallError) {
      try Ring(entries: 1).close()
      #expect(Ring.probe() == .available)
    } catch {
      guard case .unavailable(error, _) = Ring.probe() else {
        Issue.record("a ring cannot be made, but the probe says \(Ring.probe())")
        return
      }
    }
  }

  /// In a child, which may open nothing.
  @Test func aRingThatCannotBeMadeIsAnErrorAndTheProbeSaysSo() async {
    await #expect(processExitsWith: .success) {
      var limit = rlimit(rlim_cur: 0, rlim_max: 0)
      let limited = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      precondition(limited == 0)
      do throws(SystemCallError) {
        try Ring(entries: 1).close()
        preconditionFailure("A ring was made")
      } catch {
        precondition(error.call == .io_uring_setup && error.subject == .ring)
        precondition(Ring.probe() == .unavailable(error, disabledSetting: nil))
      }
    }
  }

  static let refused = SystemCallError(call: .io_uring_setup, errno: .notPermitted, subject: .ring)

  @Test(arguments: [
    (Ring.Availability.available, "available"),
    (
      .unavailable(refused, disabledSetting: 1),
      "kernel.io_uring_disabled is 1: only privileged processes may use io_uring. Set it to 0 "
        + "(sysctl kernel.io_uring_disabled=0)."
    ),
    (
      .unavailable(refused, disabledSetting: 2),
      "kernel.io_uring_disabled is 2: nobody may use io_uring. Set it to 0 "
        + "(sysctl kernel.io_uring_disabled=0)."
    ),
    (.unavailable(refused, disabledSetting: 0), refused.description),
    (.unavailable(refused, disabledSetting: nil), refused.description),
  ])
  func saysWhyAndWhatToDo(availability: Ring.Availability, text: String) {
    #expect(availability.description == text)
  }
}
