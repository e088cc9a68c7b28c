import LinuxIO
import MappedRAMFormat
import SystemPackage

/// Slots of one block that this save has written, and whose pages are zero now.
struct FreedSlots {
  private let pages: PageBitmap
  private let block: RAMBlock
  private let slots: FileOffset
  private let file: File

  /// The slots of `pages` of `block`, whose slots begin at `slots` of `file`.
  init(_ pages: PageBitmap, of block: RAMBlock, at slots: FileOffset, in file: File) {
    self.pages = pages
    self.block = block
    self.slots = slots
    self.file = file
  }

  /// Makes holes of them, or writes zeros where the file can have none. Returns how many they were.
  func clear(_ cancellation: Cancellation) throws(ImageError) -> Int {
    for run in pages.runs {
      try cancellation.check()
      let start = slots.rawValue + UInt64(run.lowerBound) << UInt64(block.pageSize.shift)
      let range = start..<(start + UInt64(run.count) << UInt64(block.pageSize.shift))
      do throws(SystemCallError) {
        try file.punchHole(range)
      } catch {
        try file.writeZeros(over: range, cancellation)
      }
    }
    return pages.population
  }
}
