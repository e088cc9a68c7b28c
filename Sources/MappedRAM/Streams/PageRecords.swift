import LinuxIO
import MappedRAMFormat

/// Writes a block's pages as records of a plain stream, read from an image's slots.
struct PageRecords {
  let block: ImageBlock
  let file: ImageFile
  /// The block's name in the stream.
  let idstr: String
  /// Whether absent pages are written too, as zeros.
  let writesZeros: Bool

  /// Appends the records to `sink`: ascending, the first with the block's name.
  func write(to sink: inout StreamSink, progress: Progress) throws(ImageError) {
    // A block that the image itself lacks has none.
    defer { progress.finish(block.block.usedLength.rawValue) }
    guard let slots = block.layout.pages, let present = try file.bitmap(of: block) else {
      return
    }
    var name: String? = idstr
    var position = 0
    for run in present.runs {
      try writeZeros(position..<run.lowerBound, &name, to: &sink)
      try writePages(run, at: slots.lowerBound, &name, to: &sink)
      position = run.upperBound
    }
    try writeZeros(position..<block.block.pageCount, &name, to: &sink)
  }

  private func writePages(
    _ run: Range<Int>, at slots: FileOffset, _ name: inout String?, to sink: inout StreamSink
  ) throws(ImageError) {
    let pageSize = block.block.pageSize
    let step = ImageFile.chunkBytes >> pageSize.shift
    for first in stride(from: run.lowerBound, to: run.upperBound, by: step) {
      let count = min(step, run.upperBound - first)
      let offset = UInt64(first) << UInt64(pageSize.shift)
      let bytes = try file.read(pageSize.bytes(inPages: count), at: slots + ByteCount(offset))
      for page in 0..<count {
        let start = pageSize.bytes(inPages: page)
        try sink.write { output in
          RAMRecord.page(offset: offset + UInt64(start), idstr: name).encode(into: &output)
        }
        try sink.write(bytes[start..<(start + pageSize.byteCount)])
        name = nil
      }
    }
  }

  private func writeZeros(
    _ pages: Range<Int>, _ name: inout String?, to sink: inout StreamSink
  ) throws(ImageError) {
    guard writesZeros else { return }
    for page in pages {
      let offset = UInt64(page) << UInt64(block.block.pageSize.shift)
      try sink.write { output in
        RAMRecord.zero(offset: offset, idstr: name).encode(into: &output)
      }
      name = nil
    }
  }
}
