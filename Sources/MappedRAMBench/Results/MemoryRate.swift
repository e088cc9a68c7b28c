package import LinuxIO
package import MappedRAM
import Synchronization

/// How fast memory itself is, as the bound of what an engine can do with it.
package enum MemoryRate {
  /// Reads all of `memory` with `threads` threads, each a part of it.
  ///
  /// - Returns: how long that took, from the start of the first thread to the end of the last.
  /// - Throws: where threads cannot be started.
  package static func read(_ memory: Mapping, threads: Int) throws(ImageError) -> Duration {
    try each(memory.byteCount, threads) { part in
      // SAFETY: the part lies inside of the bytes.
      unsafe memory.withUnsafeBytes { bytes in
        keep(unsafe sum(UnsafeRawBufferPointer(rebasing: bytes[part])))
      }
    }
  }

  /// Writes a byte to each page of `memory` that is fresh, with `threads` threads, each a part of it.
  ///
  /// - Returns, throws: as `read`.
  package static func touch(_ memory: Mapping, threads: Int) throws(ImageError) -> Duration {
    try each(memory.byteCount, threads) { part in
      // SAFETY: the offsets lie inside of the memory, which is mapped for writing.
      unsafe memory.withUnsafeMutableBytes { bytes in
        for offset in stride(from: part.lowerBound, to: part.upperBound, by: 4096) {
          unsafe bytes.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self)
        }
      }
    }
  }

  /// Writes a buffer again and again until `target` is full, with `threads` threads: what putting bytes there costs apart from
  /// having them.
  ///
  /// - Returns, throws: as `read`; the target's error.
  package static func put(
    into target: some CopyingTarget & Sendable, byteCount: Int, threads: Int
  ) throws(ImageError) -> Duration {
    // SAFETY: the buffer is the thread's own and is not kept.
    try unsafe copying(byteCount, threads) { (offset, buffer) throws(SystemCallError) in
      try unsafe target.copy(from: UnsafeRawBufferPointer(buffer), to: offset)
    }
  }

  /// Copies all of `source` into a buffer, with `threads` threads.
  ///
  /// - Returns, throws: as `read`; the source's error.
  package static func get(
    from source: some CopyingSource & Sendable, byteCount: Int, threads: Int
  ) throws(ImageError) -> Duration {
    // SAFETY: the buffer is the thread's own and is not kept.
    try unsafe copying(byteCount, threads) { (offset, buffer) throws(SystemCallError) in
      try unsafe source.copy(into: buffer, from: offset)
    }
  }

  private static func copying(
    _ byteCount: Int, _ threads: Int,
    _ body:
      @escaping @Sendable (UInt64, UnsafeMutableRawBufferPointer) throws(SystemCallError)
      -> Void
  ) throws(ImageError) -> Duration {
    let chunk = 1 << 20
    return try each(byteCount, threads) { (part) throws(ImageError) in
      try calling { () throws(SystemCallError) in
        let buffer = try AlignedBuffer(byteCount: chunk)
        // Bytes that are not zero.
        unsafe buffer.bytes.initializeMemory(as: UInt8.self, repeating: 0xA5)
        for offset in stride(from: part.lowerBound, to: part.upperBound, by: chunk) {
          let count = min(chunk, part.upperBound - offset)
          // SAFETY: the buffer is this thread's.
          try unsafe body(
            UInt64(offset), UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<count]))
        }
      }
    }
  }

  /// Runs `body` with a part of `byteCount` bytes on each of `threads` threads. Parts are of whole pages.
  private static func each(
    _ byteCount: Int, _ threads: Int,
    _ body: @escaping @Sendable (Range<Int>) throws(ImageError) -> Void
  ) throws(ImageError) -> Duration {
    let pages = byteCount / 4096
    let next = Counter()
    let start = ContinuousClock.now
    try inParallel(threads) { () throws(ImageError) in
      let number = next.take()
      let first = pages * number / threads * 4096
      let last = number == threads - 1 ? byteCount : pages * (number + 1) / threads * 4096
      try body(first..<last)
    }
    return .now - start
  }

  private final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    func take() -> Int { value.wrappingAdd(1, ordering: .relaxed).oldValue }
  }

  /// The sum of all words, in vector registers.
  private static func sum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    guard let base = bytes.baseAddress else { return 0 }
    var (a, b) = (SIMD8<UInt64>(repeating: 0), SIMD8<UInt64>(repeating: 0))
    var offset = 0
    while offset &+ 128 <= bytes.count {
      // SAFETY: 128 bytes are left.
      a &+= unsafe base.loadUnaligned(fromByteOffset: offset, as: SIMD8<UInt64>.self)
      b &+= unsafe base.loadUnaligned(fromByteOffset: offset &+ 64, as: SIMD8<UInt64>.self)
      offset &+= 128
    }
    return (a &+ b).wrappedSum()
  }

  /// Where results go, so that they are worked out.
  @inline(never)
  private static func keep(_ value: UInt64) {}
}
