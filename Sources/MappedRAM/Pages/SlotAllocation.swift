package import LinuxIO
package import MappedRAMFormat

/// Which slots of a block take space in the file.
package struct SlotAllocation: Equatable, Sendable {
  /// Bytes of the pages region that are no hole.
  package var allocatedBytes: ByteCount
  /// Absent pages whose slot is no hole: it holds an older version of the page, or zeros that were written. Where the
  /// file system's blocks are larger than a page, or it joins near pages, zeros beside a present page count too.
  package var stalePages: PageBitmap

  /// Finds the slots of `block` that take space in `file`; the pages themselves are not read.
  ///
  /// - Returns: `nil` where there is no answer: the block has no slots here, or the file is a device, which has no holes.
  /// - Complexity: O(extents of the block + words of its bitmap).
  /// - Throws: `ImageError.system`.
  package static func find(
    _ block: ImageBlock, present: PageBitmap, in file: File
  ) throws(ImageError) -> SlotAllocation? {
    guard let slots = block.layout.pages, file.kind == .regular else { return nil }
    precondition(present.pageCount == block.pageCount, "the bitmap is the block's")
    let range = slots.rawValues
    let shift = UInt64(block.pageSize.shift)
    let mask = UInt64(block.pageSize.byteCount - 1)
    var pages = PageBitmap(pageCount: present.pageCount)
    var byteCount: UInt64 = 0
    do throws(SystemCallError) {
      try file.forEachData(in: range) { part in
        byteCount += part.upperBound - part.lowerBound
        let first = (part.lowerBound - range.lowerBound) >> shift
        let end = (part.upperBound - range.lowerBound + mask) >> shift
        pages.insert(Int(first)..<Int(end))
      }
    } catch {
      throw .system(error)
    }
    pages.subtract(present)
    return SlotAllocation(allocatedBytes: ByteCount(byteCount), stalePages: pages)
  }
}
