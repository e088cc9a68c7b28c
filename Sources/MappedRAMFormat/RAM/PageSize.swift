/// The size of a page of a guest's memory: a power of two from 1 KiB to 64 KiB.
///
/// An image stores the page size of the guest's architecture: 4096 on x86, s390x, ppc64, riscv64 and Arm
/// machines like `virt`, 8192 on alpha and sparc64. QEMU's targets range from 1 KiB (old Arm boards) to 64 KiB
/// (source: QEMU v10.0.2, `target/*/cpu-param.h`).
public struct PageSize: Hashable, Sendable {
  /// The binary logarithm of the size.
  public let shift: Int

  /// The sizes that exist, as logarithms.
  public static let shifts = 10...16

  /// A page of `byteCount` bytes, or `nil` if there is no such page size.
  public init?(byteCount: UInt64) {
    guard byteCount.nonzeroBitCount == 1, Self.shifts.contains(byteCount.trailingZeroBitCount)
    else { return nil }
    shift = byteCount.trailingZeroBitCount
  }

  /// 4 KiB.
  public static let fourKiB = PageSize(shift: 12)

  private init(shift: Int) { self.shift = shift }

  /// Bytes in a page.
  public var byteCount: Int { 1 << shift }

  /// Bytes in `count` pages.
  public func bytes(inPages count: Int) -> Int { count << shift }

  /// The slots of `pages` of a block whose slots begin at `start`.
  ///
  /// - Precondition: the block has these pages and lies in a file.
  package func bytes(of pages: Range<Int>, in start: FileOffset) -> Range<FileOffset> {
    let first = start + ByteCount(UInt64(pages.lowerBound) << UInt64(shift))
    return first..<(first + ByteCount(UInt64(pages.count) << UInt64(shift)))
  }

  /// Whole pages in `length`, or `nil` if it is no multiple of the page size.
  public func pages(in length: ByteCount) -> Int? {
    guard length.rawValue & UInt64(byteCount - 1) == 0 else { return nil }
    return Int(exactly: length.rawValue >> UInt64(shift))
  }
}

extension PageSize: CustomStringConvertible {
  /// The bytes in a page, in decimal.
  public var description: String { String(byteCount) }
}
