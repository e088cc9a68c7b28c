import LinuxIO
import MappedRAMFormat
import SystemPackage

/// What a repair may take contents from: an image, or a directory that one was taken apart into.
///
/// Nothing of it is believed: only bytes that have the wanted sum are taken. What it does not have or cannot be read is as though it was
/// not there.
struct RepairSource {
  /// What it was opened by.
  let path: FilePath
  /// Headers, bitmaps and device state: the image, or what would be one if the directory were packed.
  let file: ImageFile
  /// What could be read of them.
  let image: Image
  /// Makes the structures of the same contents in another layout.
  private let plan: (SlotLayout, FileOffset) throws(ImageError) -> SavePlan
  /// Whether areas are at their places in the file.
  let isImage: Bool
  private let pages: [String: Pages]
  private var buffers: [StoredBuffer] = []

  /// A block's contents.
  private struct Pages {
    var block: RAMBlock
    var file: ImageFile
    var start: FileOffset
    /// Where the bitmap is, of which clear bits mean zeros; `nil` where all pages are what they are.
    var bitmap: PageBitmap?
    var presentZeros: PageBitmap?
  }

  /// A buffer of a device.
  private struct StoredBuffer {
    var device: DeviceIdentity
    var number: Int
    var file: ImageFile
    var range: Range<FileOffset>
  }

  /// Opens what is at `path` to be read.
  ///
  /// - Parameter streamOffset: where the stream of an image may begin, if it does so neither at 0 nor behind what a container says.
  /// - Throws: where it cannot be opened, or is a directory without a manifest that is right.
  init(
    _ path: FilePath, streamOffset: FileOffset?, cancellation: Cancellation
  ) throws(ImageError) {
    if InodeType(at: path) == .directory {
      try self.init(directory: path, cancellation)
    } else {
      try self.init(image: path, streamOffset, cancellation)
    }
  }

  private init(
    image path: FilePath, _ streamOffset: FileOffset?, _ cancellation: Cancellation
  ) throws(ImageError) {
    let file = try ImageFile(opening: path, cancellation: cancellation)
    var image = try Image(file, streamOffset: nil)
    if image.prologue == nil, let streamOffset {
      image = try Image(file, streamOffset: streamOffset)
    }
    var pages: [String: Pages] = [:]
    for block in image.blocks {
      guard let slots = block.layout.pages, let bitmap = try file.bitmap(of: block) else {
        continue
      }
      pages[block.idstr] = Pages(
        block: block.block, file: file, start: slots.lowerBound, bitmap: bitmap)
    }
    self.path = path
    self.file = file
    self.image = image
    self.pages = pages
    isImage = true
    let (prologue, blocks, tail) = (image.prologue, image.blocks, image.tail)
    plan = { (slots, start) throws(ImageError) in
      guard let prologue, let tail else { throw .plan(.noBlocks) }
      return try SavePlan(
        prologue: prologue, blocks: blocks.map { SavePlan.Block($0.block, pages: nil) },
        tail: [.file(file.file, tail)], streamOffset: start, slots: slots, for: path)
    }
    for device in image.deviceArea?.devices ?? [] {
      for (number, buffer) in device.buffers.enumerated() {
        buffers.append(
          StoredBuffer(
            device: device.identity, number: number, file: file,
            range: buffer.offset..<(buffer.offset + buffer.byteCount)))
      }
    }
  }

  private init(directory path: FilePath, _ cancellation: Cancellation) throws(ImageError) {
    let own = try SavePlan.ofDirectory(path)
    file = try Self.structures(of: own)
    image = try Image(file, streamOffset: own.layout.streamOffset)
    isImage = false
    self.path = path
    var pages: [String: Pages] = [:]
    for block in own.blocks {
      guard let source = block.pages as? FilePages else { continue }
      pages[block.idstr] = Pages(
        block: block.block, file: ImageFile(source.file, cancellation: cancellation), start: .zero,
        presentZeros: block.presentZeros)
    }
    self.pages = pages
    plan = { (slots, start) throws(ImageError) in
      try SavePlan(
        prologue: own.prologue,
        blocks: own.blocks.map { SavePlan.Block($0.block, pages: nil) }, tail: own.tail,
        streamOffset: start, slots: slots, for: path)
    }
    let manifest = try DirectoryManifest(readingFrom: path)
    for device in manifest.devices ?? [] {
      let file = try ImageFile(opening: path.appending(device.file), cancellation: cancellation)
      var place = FileOffset.zero
      for (number, buffer) in device.buffers.enumerated() where buffer.count == 2 {
        guard let end = place.adding(ByteCount(buffer[1])) else { break }
        buffers.append(
          StoredBuffer(
            device: device.identity, number: number, file: file, range: place..<end))
        place = end
      }
    }
  }

  /// All of the image of `plan` but its pages and bitmaps, in memory.
  private static func structures(of plan: SavePlan) throws(ImageError) -> ImageFile {
    let file = try ImageFile(inMemory: "structures", byteCount: .zero)
    let draft = try ImageDraft.begin(plan, in: file)
    try draft.writeStructures(
      ImageDraft.Contents(bitmaps: plan.blocks.map { _ in nil }, area: nil, sums: nil))
    try draft.writeStreamHeader()
    return file
  }

  /// The structures of the same contents in the layouts that are written here, where the stream begins at `start`.
  func otherLayouts(startingAt start: FileOffset) -> [ImageFile] {
    SlotLayout.allCases.compactMap { slots in
      // What cannot be planned so has nothing for anybody.
      try? Self.structures(of: plan(slots, start))
    }
  }
}

extension RepairSource {
  /// Bytes that have a sum, and where they are.
  struct Place {
    var file: ImageFile
    var range: Range<FileOffset>
  }

  /// The bytes of a span or a buffer with this sum in `places`.
  private func find(_ sum: ContentSum, in places: [Place]) throws(ImageError) -> Place? {
    for place in places where try place.file.has(sum, in: place.range) { return place }
    return nil
  }

  /// Bytes of a stream that have this sum: at the same place, or in a part of the stream that is as long.
  ///
  /// - Parameter structures: others to look into, at the same place.
  func span(
    _ span: SumsArea.Span, besides structures: [ImageFile]
  ) throws(ImageError) -> Place? {
    let others = SumsWriter.ranges(of: image).filter { $0.byteCount == span.range.byteCount }
    return try find(
      span.sum,
      in: ([file] + structures).map { Place(file: $0, range: span.range) }
        + others.map { Place(file: file, range: $0) })
  }

  /// The bytes of a buffer of `device` that have this sum.
  func buffer(
    of device: DeviceIdentity, _ count: ByteCount, _ sum: ContentSum
  ) throws(ImageError) -> Place? {
    try find(
      sum,
      in: buffers.filter { $0.device == device && $0.range.byteCount == count }.map {
        Place(file: $0.file, range: $0.range)
      })
  }

  /// The bytes of the page bitmap of a block like `block`; `nil` where there is none.
  func bitmap(of block: RAMBlock) throws(ImageError) -> PageBitmap? {
    guard let found = pages[block.idstr], found.block.pageSize == block.pageSize,
      found.block.usedLength == block.usedLength
    else { return nil }
    if let bitmap = found.bitmap { return bitmap }
    // A page is present in an image that is packed if it is not zero, or is said to be.
    var bitmap = found.presentZeros ?? PageBitmap(pageCount: block.pageCount)
    let step = ImageFile.chunkBytes >> block.pageSize.shift
    for first in stride(from: 0, to: block.pageCount, by: max(step, 1)) {
      let range = first..<min(first + max(step, 1), block.pageCount)
      let place = block.pageSize.bytes(of: range, in: found.start)
      guard try found.file.nextData(in: place) != nil else { continue }
      guard let bytes = try contents(of: block.idstr, range, block.pageSize) else { return nil }
      for page in range {
        let start = (page - range.lowerBound) * block.pageSize.byteCount
        if !bytes[start..<(start + block.pageSize.byteCount)].allSatisfy({ $0 == 0 }) {
          bitmap[page] = true
        }
      }
    }
    return bitmap
  }

  /// What is in `range` of the pages of a block: zeros where they are absent; `nil` where this has no such pages, or they cannot be read.
  func contents(
    of idstr: String, _ range: Range<Int>, _ pageSize: PageSize
  ) throws(ImageError) -> [UInt8]? {
    guard let found = pages[idstr], found.block.pageSize == pageSize,
      range.upperBound <= found.block.pageCount
    else { return nil }
    let place = pageSize.bytes(of: range, in: found.start)
    guard var bytes = try found.file.readWhole(place) else { return nil }
    if let bitmap = found.bitmap {
      for page in range where !bitmap[page] {
        let start = (page - range.lowerBound) * pageSize.byteCount
        for index in start..<(start + pageSize.byteCount) { bytes[index] = 0 }
      }
    }
    return bytes
  }
}

extension ImageFile {
  /// The bytes of `range`; `nil` where they are not all there, or cannot be read.
  func readWhole(_ range: Range<FileOffset>) throws(ImageError) -> [UInt8]? {
    try cancellation.check()
    do throws(ImageError) {
      return try read(Int(range.byteCount.rawValue), at: range.lowerBound)
    } catch {
      if error == .cancelled { throw error }
      return nil
    }
  }

  /// Whether the bytes in `range` have this sum: not where they are not all there, or cannot be read.
  func has(_ sum: ContentSum, in range: Range<FileOffset>) throws(ImageError) -> Bool {
    do throws(ImageError) {
      return try self.sum(of: range) == sum
    } catch {
      if error == .cancelled { throw error }
      return false
    }
  }
}
