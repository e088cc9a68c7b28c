import Foundation
import SystemPackage
import TestSupport

/// Whether file systems can be mounted here.
enum Mounts {
  static let areAllowed = (try? MemoryMount(bytes: 1 << 20)) != nil
}

/// A small tmpfs of its own, unmounted when the last reference goes.
final class MemoryMount {
  private let directory: TemporaryDirectory
  /// Where it is mounted.
  let path: String

  init(bytes: Int) throws {
    directory = try TemporaryDirectory()
    path = directory.file("mount").string
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    try Subprocess.succeed(["mount", "-t", "tmpfs", "-o", "size=\(bytes)", "tmpfs", path])
  }

  /// All that is in it.
  func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path)
  }

  /// Bytes in use.
  func usedBytes() throws -> Int {
    let text = try Subprocess.succeed(["df", "--output=used", "-B1", path]).text
    return text.split(separator: "\n").last.flatMap { Int($0.filter(\.isNumber)) } ?? -1
  }

  deinit {
    // Clean-up: nobody is left to tell.
    _ = try? Subprocess.run(["umount", path])
  }
}
