import CLinux
import TestSupport
import Testing

@testable import LinuxIO

@Suite(.enabled(if: (try? Subprocess.run(["ionice"]).status) == 0, "needs ionice(1)"))
struct IOPriorityTests {
  @Test(arguments: [
    (IOPriority.idle, "idle"), (.bestEffort(level: 0), "best-effort: prio 0"),
    (.bestEffort(level: 7), "best-effort: prio 7"),
  ])
  func theThreadHasIt(priority: IOPriority, words: String) throws {
    let thread = try PosixThread<String, any Error>(name: "priority") {
      try priority.applyToThread()
      return try Subprocess.succeed(["ionice", "-p", "\(CLinux_threadID())"]).text
    }
    #expect(try thread.join() == words + "\n")
  }
}
