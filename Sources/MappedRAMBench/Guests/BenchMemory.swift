import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM

/// Where the memory of the made-up guest is.
package enum BenchMemoryKind: String, CaseIterable, Sendable {
  /// In another process, as a VM's own memory is.
  case `private`
  /// In a file in memory.
  case shared
  /// Nowhere: pages are made when they are read.
  case made
}

/// Memory of a guest, to be saved from or restored into.
///
/// It is not this process's own, so that neither the room that it takes nor the filling counts as the engine's.
enum BenchMemory {
  /// Private memory of another process.
  case holder(GuestHolder)
  /// A file in memory.
  case file(File, byteCount: UInt64)

  /// `byteCount` bytes of fresh memory.
  init(isShared: Bool, byteCount: UInt64) throws(BenchError) {
    self =
      isShared
      ? .file(
        try BenchError.system { () throws(SystemCallError) in
          try File.inMemory(name: "guest", byteCount: byteCount)
        }, byteCount: byteCount)
      : .holder(try GuestHolder(byteCount: byteCount))
  }

  /// What a save reads.
  var source: any PageSource {
    get throws(BenchError) {
      switch self {
      case .holder(let holder): holder.pages
      case .file(let file, let byteCount): try Self.pages(file, byteCount)
      }
    }
  }

  /// What a restore writes, if nothing has been written yet: all of it reads as zeros.
  var target: any PageTarget {
    switch self {
    case .holder(let holder):
      var pages = holder.pages
      pages.isCleared = true
      return pages
    case .file(let file, let byteCount):
      return FilePages(writing: file, byteCount: byteCount, startsZero: true)
    }
  }

  /// Mapped, as a capture does with the shared memory of a paused VM.
  private static func pages(_ file: File, _ byteCount: UInt64) throws(BenchError) -> MappedPages {
    let pages = try BenchError.system { () throws(SystemCallError) in
      try FilePages(file, startingAt: 0, byteCount: byteCount)
    }
    do throws(SystemCallError) {
      return try MappedPages(pages)
    } catch {
      throw .image(.system(error), output: nil)
    }
  }

  /// Gives `body` the memory as that of a process, through which it is filled and checked.
  func withPages<Value>(
    _ body: (ProcessPages) throws(ImageError) -> Value
  ) throws(BenchError) -> Value {
    switch self {
    case .holder(let holder):
      return try BenchError.image(to: nil) { () throws(ImageError) in try body(holder.pages) }
    case .file(let file, let byteCount):
      let mapping: Mapping
      do throws(SystemCallError) {
        mapping = try Mapping(file, range: 0..<byteCount, mode: .sharedWrite)
      } catch {
        throw .image(.system(error), output: nil)
      }
      // SAFETY: only the number of the address is used, by the kernel; the mapping lives until the body is over.
      let address = unsafe UInt64(UInt(bitPattern: mapping.baseAddress))
      defer { withExtendedLifetime(mapping) {} }
      return try BenchError.image(to: nil) { () throws(ImageError) in
        try body(
          ProcessPages(ProcessMemory(of: getpid()), at: address, byteCount: byteCount))
      }
    }
  }
}
