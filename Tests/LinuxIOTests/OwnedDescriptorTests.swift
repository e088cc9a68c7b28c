import Glibc
import LinuxIO
import SystemPackage
import TestSupport
import Testing

@Suite(.serialized) struct OwnedDescriptorTests {
  /// In a child, and with a number that nobody else gets meanwhile.
  @Test func closesWhenItIsDropped() async {
    await #expect(processExitsWith: .success) {
      let number = fcntl(0, F_DUPFD, 700)
      do {
        let owned = OwnedDescriptor(owning: number)
        precondition(fcntl(owned.rawValue, F_GETFD) >= 0)
      }
      precondition(fcntl(number, F_GETFD) == -1 && errno == EBADF)
    }
  }

  @Test func closesOnceWhenClosed() async {
    await #expect(processExitsWith: .success) {
      let number = fcntl(0, F_DUPFD, 700)
      func close(_ owned: consuming OwnedDescriptor) throws {
        try owned.close()
        precondition(fcntl(number, F_GETFD) == -1 && errno == EBADF)
        // Somebody else's now; the owner's end must not close it.
        precondition(dup2(0, number) == number)
      }
      try close(OwnedDescriptor(owning: number))
      precondition(fcntl(number, F_GETFD) >= 0)
    }
  }

  @Test func aFailedCloseIsReported() async {
    await #expect(processExitsWith: .success) {
      do throws(SystemCallError) {
        try OwnedDescriptor(owning: 900).close()
        preconditionFailure("900 was not open")
      } catch {
        precondition(error.call == .close && error.errno == .badFileDescriptor)
      }
    }
  }

  @Test func aNegativeNumberIsAMistakeOfTheProgram() async {
    await #expect(processExitsWith: .failure) {
      _ = OwnedDescriptor(owning: -1)
    }
  }

  /// Opening and failing to open many files leaves no descriptor behind. The test library itself
  /// may open a few in the child.
  @Test func filesLeaveNoDescriptors() async {
    await #expect(processExitsWith: .success) {
      let before = openDescriptors()
      for _ in 0..<50 {
        let path = FilePath("/proc/self/exe")
        _ = try File.open(path, access: .read)
        for refused in ["/", "/dev/null"] {
          do { _ = try File.open(FilePath(refused), access: .read) } catch is SystemCallError {}
        }
        do {
          _ = try File.open(path, access: .read, directIO: .required, probe: .refuse)
        } catch is SystemCallError {}
        _ = try PendingFile.create(at: "/tmp/mapped-ram-never-there")
      }
      let after = openDescriptors()
      precondition(after < before + 25)
    }
  }
}
