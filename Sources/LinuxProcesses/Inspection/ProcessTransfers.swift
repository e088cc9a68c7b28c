package import LinuxIO
import SystemPackage

/// What processes read and write, as the kernel counts it.
package enum ProcessTransfers {
  /// The bytes that process `processID` has given to write(2) and the like so far, to files and everything else, whether they have reached
  /// a disk or not. Requests by io_uring are not among them.
  ///
  /// From /proc/PID/io, `wchar` (proc_pid_io(5)).
  ///
  /// - Throws: EACCES without the right to trace it, ENOENT where there is no such process.
  package static func written(by processID: Int32) throws(SystemCallError) -> UInt64 {
    let path = FilePath("/proc/\(processID)/io")
    for line in try ProcessText.lines(of: path) {
      let words = line.split(separator: UInt8(ascii: " "))
      guard words.count == 2, String(decoding: words[0], as: UTF8.self) == "wchar:" else {
        continue
      }
      if let count = UInt64(String(decoding: words[1], as: UTF8.self)) { return count }
    }
    throw SystemCallError(call: .read, errno: .invalidArgument, subject: .file(path))
  }
}
