import ArgumentParser
import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM

/// Where the memory of the made-up guest is.
enum BenchMemoryKind: String, CaseIterable, ExpressibleByArgument, Sendable {
  case `private`, shared, made
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
  init(isShared: Bool, byteCount: UInt64) throws(CommandError) {
    self =
      isShared
      ? .file(
        try CommandError.system { () throws(SystemCallError) in
          try File.inMemory(name: "guest", byteCount: byteCount)
        }, byteCount: byteCount)
      : .holder(try GuestHolder(byteCount: byteCount))
  }

  /// What a save reads.
  var source: any PageSource {
    get throws(CommandError) {
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
  private static func pages(_ file: File, _ byteCount: UInt64) throws(CommandError) -> MappedPages {
    let pages = try CommandError.system { () throws(SystemCallError) in
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
  ) throws(CommandError) -> Value {
    switch self {
    case .holder(let holder):
      return try CommandError.image(to: nil) { () throws(ImageError) in try body(holder.pages) }
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
      return try CommandError.image(to: nil) { () throws(ImageError) in
        try body(
          ProcessPages(ProcessMemory(of: getpid()), at: address, byteCount: byteCount))
      }
    }
  }
}

extension CommandError {
  /// Makes sure that there is room for `byteCount` bytes more in memory.
  ///
  /// - Throws: `notEnoughMemory`: the kernel would end some process for it.
  static func requireMemory(_ byteCount: UInt64, advice: MemoryAdvice) throws(CommandError) {
    guard let available = Machine.availableMemory, byteCount > available else { return }
    throw .notEnoughMemory(needed: byteCount, available: available, advice)
  }

  /// What to do where there is not enough memory.
  enum MemoryAdvice: Equatable, Sendable {
    case smallerOrMade, smaller
  }
}
