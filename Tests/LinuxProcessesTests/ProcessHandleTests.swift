import Glibc
import LinuxIO
import SystemPackage
import Testing

@testable import LinuxProcesses

@Suite struct ProcessHandleTests {
  @Test func theEndIsSeenBeforeAnybodyHasWaitedForIt() throws {
    let process = try IdleProcess()
    let handle = try ProcessHandle(process.processID)
    #expect(handle.processID == process.processID)
    #expect(!handle.hasEnded && !ProcessHandle.hasEnded(behind: handle.descriptor))
    #expect(!handle.wait(for: .milliseconds(20)))
    #expect(!handle.wait(for: .seconds(-1)))
    kill(process.processID, SIGKILL)
    #expect(handle.wait(for: .seconds(20)))
    // Still in the table of processes: nobody has waited for it.
    #expect(kill(process.processID, 0) == 0)
    #expect(handle.hasEnded)
    #expect(try ProcessHandle(process.processID).hasEnded)
    #expect(ProcessHandle.hasEnded(behind: handle.descriptor))
  }

  @Test func aWaitEndsWithTheProcess() throws {
    let process = try IdleProcess()
    let handle = try ProcessHandle(process.processID)
    let number = process.processID
    let thread = try PosixThread(name: "killer") {
      usleep(50_000)
      kill(number, SIGKILL)
    }
    let start = ContinuousClock.now
    #expect(handle.wait(for: .seconds(60)))
    #expect(ContinuousClock.now - start < .seconds(30))
    thread.join()
  }

  @Test func signalsReachItUntilItHasEnded() throws {
    let process = try IdleProcess()
    let handle = try ProcessHandle(process.processID)
    // It inherits the signals that are blocked in the thread that runs the test.
    try handle.signal(SIGKILL)
    #expect(handle.wait(for: .seconds(20)))
    process.end()
    // Whoever may have its number by now.
    try handle.signal(SIGKILL)
    #expect(handle.hasEnded)
  }

  @Test func numberOfNoProcessIsRefused() throws {
    let process = try IdleProcess()
    process.end()
    #expect(throws: Self.error(.noSuchProcess)) { _ = try ProcessHandle(process.processID) }
    #expect(throws: Self.error(.invalidArgument)) { _ = try ProcessHandle(0) }
    #expect(throws: Self.error(.invalidArgument)) { _ = try ProcessHandle(-1) }
  }

  private static func error(_ errno: Errno) -> SystemCallError {
    SystemCallError(call: .pidfd_open, errno: errno, subject: .process)
  }
}
