import Glibc
import SystemPackage

/// What the process has used so far.
///
/// The times are those of getrusage(2) with RUSAGE_SELF.
package struct ResourceUsage: Equatable, Sendable {
  /// CPU time in the process's own code, of all its threads.
  package var userTime: Duration
  /// CPU time in the kernel on behalf of the process. The kernel's own workers, such as those of
  /// io_uring, are threads of the process and count.
  package var systemTime: Duration
  /// The most memory that was ever resident, in bytes: VmHWM of proc(5).
  ///
  /// Not ru_maxrss, which is at least that of the process that started this one: it survives an
  /// exec (Linux fs/exec.c, own observation). It stands in where /proc cannot be read.
  package var maximumResidentBytes: UInt64

  /// CPU time altogether.
  package var cpuTime: Duration { userTime + systemTime }

  /// The figures of now.
  package static func current() -> ResourceUsage {
    var usage = rusage()
    // SAFETY: `usage` is filled and not kept.
    let result = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    precondition(result == 0, "getrusage fails for wrong arguments alone")
    return ResourceUsage(
      userTime: duration(usage.ru_utime), systemTime: duration(usage.ru_stime),
      // Both are in units of 1024 bytes, whatever they are called.
      maximumResidentBytes: (residentHighWater() ?? UInt64(usage.ru_maxrss)) * 1024)
  }

  /// What was used since `earlier`: the times as differences, the memory as it is now.
  package func since(_ earlier: ResourceUsage) -> ResourceUsage {
    ResourceUsage(
      userTime: userTime - earlier.userTime, systemTime: systemTime - earlier.systemTime,
      maximumResidentBytes: maximumResidentBytes)
  }

  /// The number in the line "VmHWM:    1234 kB" of /proc/self/status.
  private static func residentHighWater() -> UInt64? {
    do throws(SystemCallError) {
      // A file of proc(5) has a size of 0, but reads as a regular file all the same.
      let file = try File.open("/proc/self/status", access: .read, directIO: .off)
      let bytes = try file.readBytes(at: 0, count: 16384)
      let line = bytes.split(separator: UInt8(ascii: "\n")).first {
        $0.starts(with: "VmHWM:".utf8)
      }
      guard let line else { return nil }
      return UInt64(String(decoding: line, as: UTF8.self).filter(\.isNumber))
    } catch {
      return nil
    }
  }

  private static func duration(_ time: timeval) -> Duration {
    .seconds(time.tv_sec) + .microseconds(time.tv_usec)
  }
}

extension ResourceUsage {
  /// Lets `maximumResidentBytes` begin anew with what is resident now (proc(5), clear_refs).
  ///
  /// - Throws: what writing there gives; before Linux 4.0, and in some containers, it is refused.
  package static func forgetMaximum() throws(SystemCallError) {
    let path: FilePath = "/proc/self/clear_refs"
    let descriptor = try openDescriptor(path, flags: O_WRONLY)
    let byte: [UInt8] = [UInt8(ascii: "5")]
    _ = try retryingInterrupted(.write, .file(path)) {
      // SAFETY: one byte of this function's own.
      unsafe byte.withUnsafeBytes { unsafe write(descriptor.rawValue, $0.baseAddress, 1) }
    }
  }
}
