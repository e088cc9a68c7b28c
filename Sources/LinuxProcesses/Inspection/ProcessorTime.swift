import Glibc
package import LinuxIO
import SystemPackage

/// What another process has used of the processors.
package enum ProcessorTime {
  /// The time of all threads of process `processID` so far, in its own code and in the kernel, in steps of a tick (10 ms).
  ///
  /// From /proc/PID/stat, fields 14 and 15 (proc_pid_stat(5)).
  ///
  /// - Throws: ENOENT where there is no such process.
  package static func used(by processID: Int32) throws(SystemCallError) -> Duration {
    try used(FilePath("/proc/\(processID)/stat"))
  }

  /// The time of thread `threadID` of process `processID` alone, as `used(by:)`.
  ///
  /// - Throws: ENOENT where there is no such thread.
  package static func used(
    byThread threadID: Int32, of processID: Int32
  ) throws(SystemCallError) -> Duration {
    try used(FilePath("/proc/\(processID)/task/\(threadID)/stat"))
  }

  private static func used(_ path: FilePath) throws(SystemCallError) -> Duration {
    let line = try ProcessText.lines(of: path).first ?? []
    // The program's name stands in parentheses, and may have spaces and parentheses itself.
    let rest = line.lastIndex(of: UInt8(ascii: ")")).map { line[($0 + 1)...] } ?? []
    let fields = rest.split(separator: UInt8(ascii: " "))
    func ticks(_ field: Int) -> Int64? {
      // The field behind the name is number 3.
      guard fields.indices.contains(field - 3) else { return nil }
      return Int64(String(decoding: fields[field - 3], as: UTF8.self))
    }
    guard let user = ticks(14), let system = ticks(15) else {
      throw SystemCallError(call: .read, errno: .invalidArgument, subject: .file(path))
    }
    return .seconds(Double(user + system) / Double(sysconf(Int32(_SC_CLK_TCK))))
  }
}
