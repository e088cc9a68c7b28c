/// Where a writer lets the page slots of a block begin: the layout of an image.
///
/// Readers accept either, and any other multiple of the page size.
public enum SlotLayout: String, CaseIterable, Sendable {
  /// QEMU's own: at the next multiple of 1 MiB, so that O_DIRECT works with any device.
  ///
  /// Source: QEMU v10.0.2, `migration/ram.c`, `MAPPED_RAM_FILE_OFFSET_ALIGNMENT`.
  case qemu = "1M"
  /// For memory that is mapped by huge pages: at the next multiple of 2 MiB. A block that no huge page fits into stands where QEMU puts it.
  case hugePages = "2M"

  /// Bytes of a huge page: of the entry, one level above pages of 4 KiB, by which x86-64 and AArch64 map memory.
  public static let hugePage: UInt64 = 2 << 20

  /// What the pages offset of a block with so many bytes is a multiple of: a power of two.
  public func alignment(usedLength: ByteCount) -> UInt64 {
    switch self {
    case .hugePages where usedLength.rawValue >= Self.hugePage: Self.hugePage
    case .qemu, .hugePages: 1 << 20
    }
  }

  /// The layout in which each of `blocks` stands; `nil` where they are in none.
  ///
  /// Where it makes no difference, as for blocks that are all small, it is QEMU's.
  public init?(of blocks: [BlockLayout]) {
    let found = Self.allCases.first { layout in
      blocks.allSatisfy { block in
        guard let bitmap = block.bitmap, let pages = block.pages else { return true }
        let alignment = layout.alignment(usedLength: pages.byteCount)
        return pages.lowerBound == bitmap.upperBound.alignedUp(to: alignment)
      }
    }
    guard let found else { return nil }
    self = found
  }
}

extension BlockLayout {
  /// Whether huge pages fit into the slots, and stand at their multiples in the file. Only then can a kernel map the slots by huge pages.
  public var fitsHugePages: Bool {
    guard let pages else { return false }
    return pages.byteCount.rawValue >= SlotLayout.hugePage
      && pages.lowerBound.isAligned(to: SlotLayout.hugePage)
  }
}
