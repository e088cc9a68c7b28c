package import LinuxIO
package import MappedRAMFormat
import SystemPackage

/// Slots of absent pages that hold something else than zeros, and how they are made to read as zeros.
///
/// A live save leaves the older version of a page that became zero in its slot. Whoever goes by the bitmap does not see it; whoever maps
/// the image as a guest's memory does, and must put zeros over what is in `remaining`. Or the slots are punched out: the image means
/// the same as before, to every reader, and slots whose bit is set are never touched.
package struct StaleSlots: Equatable, Sendable {
  /// Pages whose slots took space, or could have, and were made zeros.
  package private(set) var clearedPages = 0
  /// For each block that has some, by idstr: the pages whose slots still are stale since the file cannot be changed. Whoever maps
  /// the image must put zeros over them.
  package private(set) var remaining: [String: PageBitmap] = [:]
  /// Why `clear` has left some; `nil` where it has left none.
  package private(set) var refusal: SystemCallError?

  /// Finds the stale slots of `blocks` in `file`, and changes nothing.
  ///
  /// The page bitmaps are read anew. On a device all slots of absent pages are read.
  ///
  /// - Complexity: O(extents of the blocks + words of their bitmaps) where there are none. Slots that take space are read.
  /// - Throws: `ImageError`.
  package static func find(
    in blocks: [ImageBlock], of file: File, cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> StaleSlots {
    try StaleSlots(blocks, file, isWritable: false, cancellation)
  }

  /// Finds the stale slots of `blocks` in `file`, and clears them where the file can be written; where it cannot, they are in
  /// `remaining`.
  ///
  /// The page bitmaps are read anew. On a device all slots of absent pages count as stale until they have been cleared or read;
  /// a device that cannot clear a range by itself is not written to. Two that do this at the same time do no harm to each other;
  /// somebody who writes a new image into the file meanwhile does, as with any reader.
  ///
  /// - Parameter file: the image, open for writing.
  /// - Complexity: O(extents of the blocks + words of their bitmaps) where there are none. Slots that take space and cannot be punched
  ///   out whole are read.
  /// - Throws: `ImageError`. Some slots may have been cleared then.
  package static func clear(
    in blocks: [ImageBlock], of file: File, cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> StaleSlots {
    try StaleSlots(blocks, file, isWritable: true, cancellation)
  }

  private init(
    _ blocks: [ImageBlock], _ file: File, isWritable: Bool, _ cancellation: Cancellation
  ) throws(ImageError) {
    var isWritable = isWritable
    let file = ImageFile(file, cancellation: cancellation)
    for block in blocks {
      guard let present = try file.bitmap(of: block) else { continue }
      var slots = BlockSlots(block, present: present, file: file)
      try slots.findCandidates()
      guard slots.candidates.population > 0 else { continue }
      if isWritable {
        refusal = try slots.punch()
        isWritable = refusal == nil
      }
      let isCleared = isWritable ? try slots.isCleared() : false
      if !isCleared { try slots.keepStale() }
      if isWritable, file.kind == .regular { try slots.writeZeros() }
      clearedPages += slots.cleared
      if slots.candidates.population > 0 { remaining[block.idstr] = slots.candidates }
    }
  }
}

/// The slots of one block.
private struct BlockSlots {
  private let slots: Range<FileOffset>?
  private let block: ImageBlock
  private let present: PageBitmap
  private let file: ImageFile
  /// Absent pages whose slots may be stale.
  private(set) var candidates: PageBitmap
  /// Pages whose slots have been cleared.
  private(set) var cleared = 0

  init(_ block: ImageBlock, present: PageBitmap, file: ImageFile) {
    slots = block.layout.pages
    self.block = block
    self.present = present
    self.file = file
    candidates = PageBitmap(pageCount: present.pageCount)
  }

  mutating func findCandidates() throws(ImageError) {
    if let found = try SlotAllocation.find(block, present: present, in: file.file) {
      candidates = found.stalePages
    } else {
      // No answer: every absent page.
      candidates.insert(0..<present.pageCount)
      candidates.subtract(present)
    }
  }

  /// Makes holes of the candidates' slots.
  ///
  /// - Returns: the error where the file does not allow it.
  mutating func punch() throws(ImageError) -> SystemCallError? {
    for run in candidates.runs {
      do throws(ImageError) {
        try file.punch(bytes(of: run))
      } catch {
        guard case .system(let refusal) = error, Self.isRefusal(refusal.errno) else { throw error }
        return refusal
      }
      cleared += run.count
    }
    return nil
  }

  /// Whether an error says that the file stays as it is, and not that something is broken.
  private static func isRefusal(_ errno: Errno) -> Bool {
    [
      .badFileDescriptor, .notPermitted, .permissionDenied, .readOnlyFileSystem, .textFileBusy,
      .resourceBusy,
      .notSupportedOnSocket, .invalidArgument, .noSpace, .diskQuotaExceeded,
    ].contains(errno)
  }

  /// Whether nothing is left after punching: no candidate takes space any more.
  ///
  /// Where the file system's blocks are larger than a page, blocks with a present page stay; the kernel has zeroed the
  /// rest of them (fallocate(2)), which `keepStale` looks at.
  mutating func isCleared() throws(ImageError) -> Bool {
    if file.kind == .regular {
      try findCandidates()
    } else {
      // A device that takes the call has zeros there (fallocate(2), blkdev_fallocate in Linux).
      candidates = PageBitmap(pageCount: present.pageCount)
    }
    return candidates.population == 0
  }

  /// Takes those out of the candidates whose slots are zeros.
  mutating func keepStale() throws(ImageError) {
    let pageSize = block.pageSize
    var stale = PageBitmap(pageCount: present.pageCount)
    let step = ImageFile.chunkBytes >> pageSize.shift
    for run in candidates.runs {
      for first in stride(from: run.lowerBound, to: run.upperBound, by: step) {
        try file.cancellation.check()
        let pages = first..<min(first + step, run.upperBound)
        let bytes = try file.read(
          pageSize.bytes(inPages: pages.count), at: self.bytes(of: pages).lowerBound)
        for page in pages {
          let start = pageSize.bytes(inPages: page - first)
          // SAFETY: the part lies inside the array, and is not kept.
          let isZero = unsafe bytes.withUnsafeBytes { bytes in
            unsafe ZeroScan.isZero(
              UnsafeRawBufferPointer(rebasing: bytes[start..<(start + pageSize.byteCount)]))
          }
          if !isZero { stale[page] = true }
        }
      }
    }
    candidates = stale
  }

  /// Writes zeros where a hole was made and something is still there: for file systems that do not zero parts of blocks.
  mutating func writeZeros() throws(ImageError) {
    for run in candidates.runs { try file.zero(bytes(of: run)) }
    candidates = PageBitmap(pageCount: present.pageCount)
  }

  /// Where the slots of `pages` stand.
  private func bytes(of pages: Range<Int>) -> Range<FileOffset> {
    guard let slots else { preconditionFailure("pages have slots") }
    return block.pageSize.bytes(of: pages, in: slots.lowerBound)
  }
}
