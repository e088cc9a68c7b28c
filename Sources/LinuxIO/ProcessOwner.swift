import SystemPackage

/// Which process a thread belongs to.
public enum ProcessOwner {
  /// The process of the thread `number`, as /proc/TID/status gives it (Tgid); `nil` where there is no such thread.
  public static func ofThread(_ number: Int32) -> Int32? {
    // A thread that is gone has no file.
    guard let lines = try? ProcessText.lines(of: FilePath("/proc/\(number)/status")) else {
      return nil
    }
    let key = Array("Tgid:\t".utf8)
    guard let line = lines.first(where: { $0.starts(with: key) }) else { return nil }
    return Int32(String(decoding: line.dropFirst(key.count), as: UTF8.self))
  }
}
