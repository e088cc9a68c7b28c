import Foundation
import Glibc
package import SystemPackage

/// A tmpfs of its own, so small that it is soon full; unmounted when the last reference goes. Needs root and mount(8).
package final class SmallFileSystem: Sendable {
  /// Where it is mounted.
  package let directory: TemporaryDirectory

  /// Whether this process may mount one.
  package static let isPermitted: Bool = {
    do {
      _ = try SmallFileSystem(byteCount: 1 << 20)
      return true
    } catch {
      return false
    }
  }()

  /// One of `byteCount` bytes, mounted over `directory`.
  package init(byteCount: Int, over directory: TemporaryDirectory) throws {
    self.directory = directory
    try Subprocess.succeed([
      "mount", "-t", "tmpfs", "-o", "size=\(byteCount)", "tmpfs", directory.path.string,
    ])
  }

  /// One of `byteCount` bytes, in a place of its own.
  package convenience init(byteCount: Int) throws {
    try self.init(byteCount: byteCount, over: TemporaryDirectory())
  }

  /// The path of `name` in it.
  package func file(_ name: String) -> FilePath { directory.file(name) }

  /// All that is in it.
  package func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory.path.string).sorted()
  }

  /// How many bytes files can still take.
  package func freeByteCount() throws -> Int { try byteCount(\.f_bfree) }

  /// How many bytes are in use.
  package func usedByteCount() throws -> Int { try byteCount(\.f_blocks) - freeByteCount() }

  private func byteCount(_ blocks: KeyPath<statvfs, fsblkcnt_t>) throws -> Int {
    var facts = statvfs()
    guard unsafe statvfs(directory.path.string, &facts) == 0 else { throw Errno(rawValue: errno) }
    return Int(facts[keyPath: blocks] * facts.f_frsize)
  }

  deinit {
    do {
      try Subprocess.succeed(["umount", "--lazy", directory.path.string])
    } catch {
      print("\(directory.path) stays mounted: \(error)")
    }
  }
}
