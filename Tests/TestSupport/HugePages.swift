import Foundation

/// Huge pages of 2 MiB that the kernel holds ready, given back when the last reference goes. Needs root.
///
/// Tests of this process may have some at the same time.
package final class HugePages {
  private static let file = "/proc/sys/vm/nr_hugepages"
  private static let lock = NSLock()
  private let count: Int

  /// Makes `count` more of them available.
  /// - Throws: `HarnessError` where the kernel does not find as many.
  package init(count: Int) throws {
    self.count = count
    try Self.lock.withLock {
      let before = try Self.read()
      try Self.write(before + count)
      let now = try Self.read()
      guard now == before + count else {
        try Self.write(before)
        throw HarnessError("the kernel made \(now - before) of \(count) huge pages")
      }
    }
  }

  deinit {
    do {
      try Self.lock.withLock { try Self.write(try Self.read() - count) }
    } catch {
      print("\(Self.file) stays as it is: \(error)")
    }
  }

  /// Whether this machine and this user can have some.
  package static let isAvailable: Bool = {
    do {
      _ = try HugePages(count: 1)
      return true
    } catch {
      return false
    }
  }()

  private static func read() throws -> Int {
    let text = try String(contentsOfFile: file, encoding: .utf8)
    guard let count = Int(text.prefix { $0.isNumber }) else {
      throw HarnessError("\(file): \(text)")
    }
    return count
  }

  private static func write(_ count: Int) throws {
    guard let handle = FileHandle(forWritingAtPath: file) else {
      throw HarnessError("\(file) cannot be written")
    }
    try handle.write(contentsOf: Data("\(count)\n".utf8))
  }
}
