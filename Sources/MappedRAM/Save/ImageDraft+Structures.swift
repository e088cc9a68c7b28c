import LinuxIO
import MappedRAMFormat

extension ImageDraft {
  /// Writes everything of the stream but the pages and its first eight bytes; bitmaps last.
  func writeStructures(_ contents: Contents) throws(ImageError) {
    if let prefix = plan.prefix { try file.write(prefix, at: .zero) }
    let head = plan.prologue.encoded(at: plan.layout.streamOffset)
    try file.write(
      Array(head.bytes.dropFirst(StreamHeader.byteCount)),
      at: plan.layout.streamOffset + ByteCount(StreamHeader.byteCount))
    var total = ByteOutput(at: plan.layout.blockList)
    RAMWord.memorySize(plan.ramTotal).encode(into: &total)
    try file.write(total)
    for (block, layout) in zip(plan.blocks, plan.layout.blocks) {
      try file.cancellation.check()
      try writeEntry(block.block, layout)
    }
    try file.write(plan.prologue.encodedListEnd(at: plan.layout.listEnd))
    try writeTail()
    for (bitmap, layout) in zip(contents.bitmaps, plan.layout.blocks) {
      guard let place = layout.bitmap else { continue }
      // On a device what was there before stands where nothing is written.
      try write(bitmap ?? PageBitmap(pageCount: Int(place.byteCount.rawValue) * 8), at: place)
    }
  }

  /// The stream's first eight bytes.
  var streamHeader: ByteOutput {
    var output = ByteOutput(at: plan.layout.streamOffset)
    StreamHeader().encode(into: &output)
    return output
  }

  /// Writes the stream's first eight bytes: from now on the image is one.
  func writeStreamHeader() throws(ImageError) { try file.write(streamHeader) }

  /// Makes whatever image was there before unreadable.
  func clearStreamHeader() throws(ImageError) {
    try file.write(
      Array(repeating: 0, count: StreamHeader.byteCount), at: plan.layout.streamOffset)
  }

  private func write(_ bitmap: PageBitmap, at place: Range<FileOffset>) throws(ImageError) {
    let words = bitmap.words
    let step = ImageFile.chunkBytes / 8
    for first in stride(from: 0, to: words.count, by: step) {
      try file.cancellation.check()
      var output = ByteOutput(at: place.lowerBound + ByteCount(first * 8))
      bitmap.encode(first..<min(first + step, words.count), into: &output)
      try file.write(output)
    }
  }

  private func writeEntry(_ block: RAMBlock, _ layout: BlockLayout) throws(ImageError) {
    var output = ByteOutput(at: layout.entry)
    let form = RAMBlockEntry.Form(plan.prologue.configuration)
    RAMBlockEntry(
      idstr: block.idstr, usedLength: block.usedLength,
      address: form.hasAddress ? block.address ?? 0 : nil,
      header: layout.header(pageSize: block.pageSize)
    ).encode(into: &output)
    try file.write(output)
  }

  private func writeTail() throws(ImageError) {
    var position = plan.layout.tail
    for part in plan.tail {
      try file.write(part, at: position)
      position = position + part.byteCount
    }
    // Behind an EOF byte on a device an old 0x06 would begin a description.
    if file.kind == .blockDevice, try file.end() > position {
      try file.write([0], at: position)
    }
  }

  /// Writes what stands behind the stream, of which devices' buffers are there, and cuts the file behind it.
  ///
  /// - Returns: where the image ends.
  func writeAreas(_ contents: Contents) throws(ImageError) -> FileOffset {
    guard contents.area != nil || contents.sums != nil || plan.facts != nil else {
      return plan.end
    }
    var writer = AreasWriter(file, behindStream: plan.end, text: try plan.descriptionText())
    if let area = contents.area { try writer.write(area) }
    if let facts = plan.facts { try writer.write(facts) }
    if let sums = contents.sums {
      var image = try Image(
        file, streamOffset: plan.layout.streamOffset, overlay: streamHeader, behindStream: false)
      if let problem = image.problems.first { throw .save(.unreadable(file.path, problem)) }
      image.deviceArea = contents.area
      try writer.write(sums, contents.bitmaps, of: image, overlay: streamHeader)
    }
    return try writer.close()
  }
}
