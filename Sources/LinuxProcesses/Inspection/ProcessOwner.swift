import Glibc
package import LinuxIO
import SystemPackage

/// Which process a thread belongs to.
package enum ProcessOwner {
  /// The process of the thread `number`, as /proc/TID/status gives it (Tgid); `nil` where there is no such thread.
  package static func ofThread(_ number: Int32) -> Int32? {
    // A thread that is gone has no file.
    guard let lines = try? ProcessText.lines(of: FilePath("/proc/\(number)/status")) else {
      return nil
    }
    let key = Array("Tgid:\t".utf8)
    guard let line = lines.first(where: { $0.starts(with: key) }) else { return nil }
    return Int32(String(decoding: line.dropFirst(key.count), as: UTF8.self))
  }

  /// All processes that can be seen, as their numbers.
  ///
  /// - Complexity: O(processes of the system).
  package static var all: [Int32] {
    ((try? ProcessFiles.names(in: "/proc")) ?? []).compactMap { Int32($0) }
  }

  /// The processes that `processID` has started, and those that these have, nearer ones first. What was started by one that has ended is
  /// not among them.
  ///
  /// - Complexity: O(processes of the system).
  package static func descendants(of processID: Int32) -> [Int32] {
    let parents = all.compactMap { number in parent(of: number).map { (number, $0) } }
    var found = [processID]
    var next = 0
    while next < found.count {
      // Each has one parent; numbers that are given anew while we look could make a circle.
      found += parents.filter { $0.1 == found[next] && !found.contains($0.0) }.map(\.0)
      next += 1
    }
    return Array(found.dropFirst())
  }

  /// The fourth field of /proc/PID/stat; the second is a name in parentheses, with any bytes in it.
  private static func parent(of processID: Int32) -> Int32? {
    // A process that is gone has no file.
    guard let lines = try? ProcessText.lines(of: FilePath("/proc/\(processID)/stat")) else {
      return nil
    }
    let rest = lines.joined(separator: [0x0A]).split(separator: UInt8(ascii: ")")).last
    guard let fields = rest?.split(separator: UInt8(ascii: " ")), fields.count > 1 else {
      return nil
    }
    return Int32(String(decoding: fields[1], as: UTF8.self))
  }

  /// The user as which the process opens files (proc_pid_status(5), the last numbers of Uid and Gid); `nil` where it cannot be seen.
  package static func user(of processID: Int32) -> FileOwner? {
    guard let lines = try? ProcessText.lines(of: FilePath("/proc/\(processID)/status")) else {
      return nil
    }
    func last(_ key: String) -> UInt32? {
      let line = lines.first { $0.starts(with: Array(key.utf8)) }
      return line?.split(separator: UInt8(ascii: "\t")).last.flatMap {
        UInt32(String(decoding: $0, as: UTF8.self))
      }
    }
    guard let userID = last("Uid:\t"), let groupID = last("Gid:\t") else { return nil }
    return FileOwner(userID: userID, groupID: groupID)
  }
}
