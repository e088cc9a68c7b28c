import LinuxIO
import SystemPackage

/// What of this process's memory is resident now, in bytes (proc_pid_status(5)).
struct ResidentMemory: Equatable, Sendable {
  /// RssAnon: memory of its own.
  var anonymous: UInt64
  /// RssFile: of files that it has mapped, its program among them.
  var file: UInt64
  /// RssShmem: of files in memory, which others may have mapped as well.
  var shared: UInt64

  /// The figures of now; `nil` where the kernel does not say.
  static func current() -> ResidentMemory? {
    guard let lines = try? ProcessText.lines(of: "/proc/self/status") else { return nil }
    func bytes(_ name: String) -> UInt64? {
      guard let line = lines.first(where: { $0.starts(with: name.utf8) }) else { return nil }
      return UInt64(String(decoding: line, as: UTF8.self).filter(\.isNumber)).map { $0 * 1024 }
    }
    guard let anonymous = bytes("RssAnon:"), let file = bytes("RssFile:"),
      let shared = bytes("RssShmem:")
    else { return nil }
    return ResidentMemory(anonymous: anonymous, file: file, shared: shared)
  }
}
