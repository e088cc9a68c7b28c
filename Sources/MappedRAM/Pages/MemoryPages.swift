public import LinuxIO
import Synchronization

/// The contents of a RAMBlock in a buffer of this process, which starts as zeros.
///
/// For guests that are small, made up, or taken apart by the program itself. Channels copy into and out of it; a save and a restore
/// on the same pages at the same time are the caller's mistake.
@safe
public final class MemoryPages: PageSource, PageTarget, CopyingSource, CopyingTarget,
  @unchecked Sendable
{
  // Channels touch parts that do not overlap; the caller looks before or after.
  private let buffer: AlignedBuffer
  /// Bytes in the block.
  public let byteCount: UInt64

  /// `byteCount` bytes of zeros, at least one.
  ///
  /// - Throws: where there is not as much memory.
  public init(byteCount: Int) throws(SystemCallError) {
    buffer = try AlignedBuffer(byteCount: byteCount)
    self.byteCount = UInt64(byteCount)
  }

  /// Copied by calls.
  public var readAccess: SourceAccess { .copy(self) }
  /// Copied by calls.
  public var writeAccess: TargetAccess { .copy(self) }
  /// Not known: its owner may have written to it.
  public var startsZero: Bool { false }

  /// Gives `body` the bytes.
  ///
  /// - Precondition: no save or restore is running on these pages.
  @unsafe
  public func withUnsafeMutableBytes<Value>(
    _ body: (UnsafeMutableRawBufferPointer) -> Value
  ) -> Value {
    unsafe body(buffer.bytes)
  }

  /// Fills `target` with the bytes at `offset`.
  public func copy(
    into target: UnsafeMutableRawBufferPointer, from offset: UInt64
  ) throws(SystemCallError) {
    // SAFETY: slicing checks that the part lies inside the buffer; the two do not overlap.
    let part = unsafe buffer.bytes[Int(offset)..<(Int(offset) + target.count)]
    unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: part))
  }

  /// Puts the bytes of `source` at `offset`.
  public func copy(
    from source: UnsafeRawBufferPointer, to offset: UInt64
  ) throws(SystemCallError) {
    // SAFETY: as above.
    let part = unsafe buffer.bytes[Int(offset)..<(Int(offset) + source.count)]
    unsafe UnsafeMutableRawBufferPointer(rebasing: part).copyMemory(from: source)
  }
}
