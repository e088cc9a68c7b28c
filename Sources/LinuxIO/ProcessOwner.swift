import Glibc
import SystemPackage

/// Which process a thread belongs to.
public enum ProcessOwner {
  /// The process of the thread `number`, as /proc/TID/status gives it (Tgid); `nil` where there is no such thread.
  public static func ofThread(_ number: Int32) -> Int32? {
    let path = FilePath("/proc/\(number)/status")
    guard let descriptor = try? openDescriptor(path, flags: O_RDONLY),
      let text = try? ProcessText.read(descriptor, path)
    else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix("Tgid:") {
      return line.split(separator: "\t").last.flatMap { Int32($0) }
    }
    return nil
  }
}
