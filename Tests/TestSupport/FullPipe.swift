package import Foundation
import Glibc
import SystemPackage

/// A pipe that takes nothing until it is emptied: whoever writes to it waits there, for as long as the test likes.
package final class FullPipe {
  private let pipe = Pipe()
  private let byteCount: Int

  /// Where to write.
  package var end: FileHandle { pipe.fileHandleForWriting }

  /// A pipe that is full.
  package init() throws {
    let descriptor = FileDescriptor(rawValue: pipe.fileHandleForWriting.fileDescriptor)
    let flags = fcntl(descriptor.rawValue, F_GETFL)
    guard fcntl(descriptor.rawValue, F_SETFL, flags | O_NONBLOCK) == 0 else {
      throw HarnessError("a pipe that does not block: \(Errno(rawValue: errno))")
    }
    var count = 0
    do {
      while true { count += try descriptor.writeAll([0x20]) }
    } catch Errno.wouldBlock {
      _ = fcntl(descriptor.rawValue, F_SETFL, flags)
    }
    byteCount = count
  }

  /// Takes out what fills it: it has room for as much from now on.
  package func empty() throws {
    var left = byteCount
    while left > 0 { left -= try pipe.fileHandleForReading.read(upToCount: left)?.count ?? left }
  }

  /// Reads all that is in it and will be written, until the last writer has gone.
  package func readToEnd() throws -> String {
    try pipe.fileHandleForWriting.close()
    return String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
  }
}
