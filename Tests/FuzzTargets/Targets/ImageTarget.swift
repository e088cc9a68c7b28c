import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// Whole images: whoever inspects and whoever restores come to the same verdict, and what was taken can be written again.
enum ImageTarget {
  /// One channel with little memory and no ring.
  private static let options = ChannelOptions(
    channels: 1, queueDepth: 1, requestBytes: 64 << 10, method: .sync, directIO: .off)
  /// Blocks that have more are not restored: memory is all that they would cost.
  private static let blockBytes = ByteCount(UInt64(1) << 20)
  /// Devices' states that are longer are not loaded.
  private static let deviceBytes = ByteCount(UInt64(1) << 20)

  static func run(_ bytes: [UInt8]) throws(Finding) -> Bool {
    let file = try File.holding(bytes)
    var bitmaps: [String: PageBitmap] = [:]
    let image = try succeed("inspect") { () throws(ImageError) in
      try Image(reading: file) { block, bitmap in bitmaps[block.idstr] = bitmap }
    }
    for problem in image.problems { _ = problem.description }
    try lookCloser(at: image, bitmaps, file)
    try verify(file, image)
    let restored = try restore(file, image)
    try checkOwner(file)
    guard let restored else { return false }
    try checkPlaces(image)
    try checkHeaders(image, file)
    try checkMemory(restored, image, bitmaps, file)
    try checkStream(image, restored, file)
    return true
  }

  /// What `inspect` finds out besides, of any image.
  private static func lookCloser(
    at image: Image, _ bitmaps: [String: PageBitmap], _ file: File
  ) throws(Finding) {
    for block in image.blocks {
      guard let bitmap = bitmaps[block.idstr] else { continue }
      _ = try succeed("slots") { () throws(ImageError) in
        try SlotAllocation.find(block, present: bitmap, in: file)
      }
    }
    _ = try succeed("stale slots") { () throws(ImageError) in
      try StaleSlots.find(in: image.blocks, of: file)
    }
    do throws(ImageError) {
      _ = try image.runState(in: file)
    } catch {
      guard case .format = error else { throw Finding("run state: \(error)") }
    }
    let devices = image.description?.devices ?? []
    var described = DescribedSections(of: devices)
    var budget = ImageLimits.descriptionValues
    for section in image.sections where section.type == .full {
      guard let identity = section.identity, let index = described.next(identity) else { continue }
      let body = section.body.lowerBound.rawValue..<section.body.upperBound.rawValue
      let bytes = try file.contents(body)
      var input = ByteInput(bytes.span, at: section.body.lowerBound)
      let decoded = DeviceStateDecoder.decode(devices[index], from: &input, budget: &budget)
      _ = decoded.problem?.description
    }
  }

  /// A check comes to the same verdict on the structure, and says that nothing is damaged only of what has sums.
  private static func verify(_ file: File, _ image: Image) throws(Finding) {
    // Blocks that are sparse and long would take long.
    guard image.blocks.allSatisfy({ $0.usedLength <= blockBytes }) else { return }
    let outcome: ImageVerification.Outcome
    do throws(ImageError) {
      outcome = try ImageVerification(file, options: options).run()
    } catch {
      throw Finding("verify: \(error)")
    }
    try require(!outcome.isWhole || image.isComplete, "whole, and not complete")
    try require((outcome.root != nil) == outcome.isWhole, "a root of what is whole")
    try require(
      image.problems.isEmpty || !outcome.damage.isEmpty, "problems that are no damage")
  }

  /// The memory of the blocks that were restored, in the list's order; `nil` where the image was refused.
  private static func restore(_ file: File, _ image: Image) throws(Finding) -> [MemoryPages?]? {
    // What stands behind the stream may be damaged, if it is not needed.
    let canBeRestored = image.restoreProblem == nil && image.tail != nil
    var memory: [MemoryPages?] = []
    let outcome: ImageRestore.Outcome
    do throws(ImageError) {
      outcome = try ImageRestore(file, options: options).run(
        device: { (stored) throws(ImageError) in
          stored.byteCount <= deviceBytes ? CollectedState(stored) : nil
        },
        target: { (block) throws(ImageError) in
          guard block.usedLength <= blockBytes else {
            memory.append(nil)
            return nil
          }
          let pages = try calling { () throws(SystemCallError) in
            try MemoryPages(byteCount: Int(block.usedLength.rawValue))
          }
          memory.append(pages)
          return pages
        })
    } catch {
      // Only who loads a device's state sees its bytes.
      if case .device(_, .damaged) = error { return nil }
      guard case .format = error else { throw Finding("restore: \(error)") }
      try require(!canBeRestored, "inspect finds nothing wrong, restore does: \(error)")
      return nil
    }
    try require(canBeRestored, "restored, though inspect says: \(image.problems)")
    try require(
      outcome.image.blocks == image.blocks && outcome.image.sections == image.sections
        && outcome.image.tail == image.tail && outcome.image.deviceArea == image.deviceArea
        && outcome.image.areas == image.areas,
      "inspect and restore have found different things")
    // A block without pages in the file has no target.
    var restored = memory.makeIterator()
    return image.blocks.map { $0.layout.pages == nil ? nil : restored.next() ?? nil }
  }

  /// A save that is to replace the file asks whose image it is.
  private static func checkOwner(_ file: File) throws(Finding) {
    do throws(ImageError) {
      try TargetContents.check(
        FilePath("/proc/self/fd/\(file.bufferedDescriptor)"), inPlace: false, replacing: .images,
        vm: VMIdentity(machineType: "none", name: "x", uuid: Array(1...16)))
    } catch {
      guard case .target = error else { throw Finding("the owner of an image: \(error)") }
    }
  }

  /// All regions lie inside the file, one after the other.
  private static func checkPlaces(_ image: Image) throws(Finding) {
    var last = image.streamOffset
    var sum = ByteCount.zero
    for block in image.blocks {
      try require(block.layout.entry >= last, "blocks overlap")
      if let bitmap = block.layout.bitmap, let pages = block.layout.pages {
        try require(
          block.layout.entry < bitmap.lowerBound && bitmap.upperBound <= pages.lowerBound
            && pages.byteCount == block.usedLength
            && (block.pagesPresent ?? .max) <= block.pageCount,
          "the regions of a block overlap")
      }
      last = block.layout.end
      sum += block.usedLength
    }
    guard let tail = image.tail else { throw Finding("a whole image has a tail") }
    try require(sum == image.ramTotal, "the blocks are not all of RAM")
    try require(tail.lowerBound >= last && tail.upperBound <= image.fileSize, "the tail")
    for (section, next) in zip(image.sections, image.sections.dropFirst()) {
      try require(section.offset + section.byteCount <= next.offset, "sections overlap")
    }
    for section in image.sections {
      let end = section.offset + section.byteCount
      try require(end <= tail.upperBound, "a section ends behind the stream")
      try require(
        section.offset <= section.body.lowerBound && section.body.upperBound <= end,
        "a body is not in its section")
    }
  }

  /// What was understood of the headers makes the same headers.
  private static func checkHeaders(_ image: Image, _ file: File) throws(Finding) {
    guard let prologue = image.prologue, let total = image.ramTotal else {
      throw Finding("a whole image has a prologue")
    }
    var output = prologue.encoded(at: image.streamOffset)
    RAMWord.memorySize(total).encode(into: &output)
    let form = RAMBlockEntry.Form(prologue.configuration)
    for block in image.blocks {
      try compare(output, with: file)
      output = ByteOutput(at: block.layout.entry)
      RAMBlockEntry(
        idstr: block.idstr, usedLength: block.usedLength,
        address: form.hasAddress ? block.block.address : nil,
        header: block.layout.header(pageSize: block.pageSize)
      ).encode(into: &output)
    }
    try compare(output, with: file)
  }

  private static func compare(_ output: ByteOutput, with file: File) throws(Finding) {
    let found = try file.contents(output.base.rawValue..<output.offset.rawValue)
    try require(found == output.bytes, "the header at \(output.base) is not what it was read as")
  }

  /// Present pages are what their slots hold, absent ones are zero.
  private static func checkMemory(
    _ memory: [MemoryPages?], _ image: Image, _ bitmaps: [String: PageBitmap], _ file: File
  ) throws(Finding) {
    for (block, pages) in zip(image.blocks, memory) {
      guard let pages, let slots = block.layout.pages, let bitmap = bitmaps[block.idstr]
      else { continue }
      var expected = [UInt8](repeating: 0, count: Int(pages.byteCount))
      let pageSize = block.pageSize
      for run in bitmap.runs {
        let bytes =
          pageSize.bytes(inPages: run.lowerBound)..<pageSize.bytes(inPages: run.upperBound)
        let start = slots.lowerBound.rawValue
        expected.replaceSubrange(
          bytes,
          with: try file.contents(
            (start + UInt64(bytes.lowerBound))..<(start + UInt64(bytes.upperBound))))
      }
      try require(pages.bytes == expected, "block \(block.idstr) was restored wrongly")
    }
  }

  /// The plain stream that is made of the image says the same to its reader.
  private static func checkStream(
    _ image: Image, _ memory: [MemoryPages?], _ file: File
  ) throws(Finding) {
    let small = zip(image.blocks, memory).filter { $0.1 != nil }.map { $0.0.block.idstr }
    let target = try File.holding([])
    let (stream, read) = try succeed("a stream of the image") {
      () throws(ImageError) -> (PlainStreamWriter, DeviceStateStream) in
      let stream = try PlainStreamWriter(image, in: file, carrying: Set(small))
      _ = try stream.write(to: target)
      return (
        stream,
        try DeviceStateStream(reading: target, pageSize: image.blocks.first?.block.pageSize)
      )
    }
    try require(read.configuration == stream.configuration, "the stream has another CONFIGURATION")
    try require(
      read.blocks.map(\.idstr) == image.blocks.map(\.idstr)
        && read.blocks.map(\.usedLength) == image.blocks.map(\.usedLength),
      "the stream has other blocks")
    let devices = image.sections.filter { $0.type == .full }
    try require(
      read.devices.map(\.identity) == devices.map(\.identity)
        && read.devices.map(\.body.byteCount) == devices.map(\.body.byteCount),
      "the stream has other devices")
    for (found, pages) in zip(read.blocks, memory) {
      guard let pages else { continue }
      let isZero = pages.bytes.allSatisfy { $0 == 0 }
      let bytes = try found.contents.map { contents throws(Finding) in
        try contents.file.contents(contents.start..<(contents.start + contents.byteCount))
      }
      try require(
        bytes == pages.bytes || bytes == nil && isZero,
        "the stream has other pages of \(found.block.idstr)")
    }
  }
}

/// A device that takes its state, and checks that it has as many bytes as it was told.
private struct CollectedState: DeviceStateTarget {
  let stored: StoredDevice

  init(_ stored: StoredDevice) { self.stored = stored }

  func load(from feed: DeviceStateFeed) throws(DeviceFailure) {
    var count: UInt64 = 0
    while unsafe try feed.next({ (_, bytes) throws(DeviceFailure) in
      count += UInt64(bytes.count)
    }) {}
    guard count == stored.byteCount.rawValue else { throw .tooLong(expected: count) }
  }
}

extension MemoryPages {
  /// All bytes.
  fileprivate var bytes: [UInt8] { unsafe withUnsafeMutableBytes { unsafe Array($0) } }
}
