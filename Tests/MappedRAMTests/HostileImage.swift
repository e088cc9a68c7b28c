import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// A tiny image with all that an image can have, written by `ImageSave`, to be damaged byte by byte.
///
/// Two blocks of 66 and 3 pages; an iterable device with START, PART and END whose length only its footers
/// tell; two devices of the description; the description, or nothing behind the EOF byte.
struct HostileImage {
  let directory: TemporaryDirectory
  let path: FilePath
  let plan: SavePlan
  /// The file, open for damaging and for reading.
  let file: File
  /// Where the EOF byte stands.
  let eof: UInt64

  /// What channels do for so small an image: no rings, little memory.
  static let options = ChannelOptions(
    channels: 1, queueDepth: 1, requestBytes: 64 << 10, method: .sync, directIO: .off)

  /// Writes the image, to `path` or into a directory of its own.
  init(
    hasDescription: Bool = true, streamOffset: FileOffset = .zero, path given: FilePath? = nil
  ) throws {
    directory = try TemporaryDirectory()
    path = given ?? directory.file("tiny.img")
    let prologue = StreamPrologue(
      configuration: Configuration(
        machineType: "pc-q35-10.0",
        subsections: [
          .targetPageBits(12), .capabilities(["mapped-ram"]), .uuid(Array(1...16)),
        ]))
    let blocks = try [("pc.ram", 66), ("0000:00:02.0/vga.vram", 3)].map { idstr, pageCount in
      SavePlan.Block(
        try RAMBlock(
          idstr: idstr, usedLength: ByteCount(pageCount * 4096), pageSize: .fourKiB),
        pages: try Self.pages(pageCount))
    }
    let tail = Self.tail(hasDescription: hasDescription)
    plan = try SavePlan(
      prologue: prologue, blocks: blocks, tail: [.bytes(tail.bytes)],
      streamOffset: streamOffset, for: path)
    eof = plan.layout.tail.rawValue + UInt64(tail.eof)
    _ = try ImageSave(plan, options: Self.options).run(to: path)
    file = try File.open(path, access: .readWrite, directIO: .off)
  }

  /// The first and the last page and one in the middle have data.
  private static func pages(_ count: Int) throws -> MemoryPages {
    let pages = try MemoryPages(byteCount: count * 4096)
    for page in [0, count / 2, count - 1] {
      let bytes = [UInt8](repeating: UInt8(page + 1), count: 4096)
      // SAFETY: the bytes live for the call.
      try unsafe bytes.withUnsafeBytes { try unsafe pages.copy(from: $0, to: UInt64(page) << 12) }
    }
    return pages
  }

  private static func tail(hasDescription: Bool) -> (bytes: [UInt8], eof: Int) {
    var output = ByteOutput()
    func section(_ element: StreamElement, id: UInt32, _ body: [UInt8]) {
      element.encode(into: &output)
      output.write(body)
      SectionFooter(id: id).encode(into: &output)
    }
    let endOfSection: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0x10]
    let dirty = SectionIdentity(idstr: "dirty-bitmap", instanceID: 0, version: 1)
    section(.start(id: 2, dirty), id: 2, [1, 0x7E, 0, 0])
    section(.part(id: 1), id: 1, endOfSection)
    section(.part(id: 2), id: 2, [2])
    StreamElement.command(Command(.switchoverStart)).encode(into: &output)
    section(.end(id: 1), id: 1, endOfSection)
    section(.end(id: 2), id: 2, [])
    let timer = SectionIdentity(idstr: "timer", instanceID: 0, version: 2)
    section(.full(id: 0, timer), id: 0, Array(repeating: 0x7E, count: 8))
    let state = SectionIdentity(idstr: "globalstate", instanceID: 0, version: 1)
    section(.full(id: 3, state), id: 3, [0, 0, 0, 8] + Array("running\0".utf8))
    let eof = output.bytes.count
    StreamElement.endOfStream.encode(into: &output)
    if hasDescription {
      output.writeBigEndian(SectionType.description.rawValue)
      output.writeBigEndian(UInt32(description.utf8.count))
      output.write(description.utf8)
    }
    return (output.bytes, eof)
  }

  private static let description = """
    {"page_size": 4096, "devices": [\
    {"name": "timer", "instance_id": 0, "vmsd_name": "timer", "version": 2, "fields": [\
    {"name": "ticks", "type": "int64", "size": 8}]}, \
    {"name": "globalstate", "instance_id": 0, "vmsd_name": "globalstate", "version": 1, "fields": [\
    {"name": "size", "type": "uint32", "size": 4}, \
    {"name": "runstate", "type": "buffer", "size": 8}]}]}
    """

  /// The places of all bytes that are neither page slots nor gaps.
  var structures: [Range<UInt64>] {
    var ranges: [Range<UInt64>] = []
    var start = plan.layout.streamOffset.rawValue
    for block in plan.layout.blocks {
      ranges.append(start..<(block.bitmap?.upperBound.rawValue ?? start))
      start = block.end.rawValue
    }
    return ranges + [start..<plan.end.rawValue]
  }

  /// A few places in gaps and page slots, and the borders of them.
  func samples(_ generator: inout SeededGenerator) -> [UInt64] {
    plan.layout.blocks.flatMap { block -> [UInt64] in
      guard let bitmap = block.bitmap?.upperBound.rawValue, let pages = block.pages else {
        return []
      }
      let (first, end) = (pages.lowerBound.rawValue, pages.upperBound.rawValue)
      return [bitmap + 1, first - 1, first, first + 1, first + 4096, end - 1]
        + (0..<8).map { _ in UInt64.random(in: bitmap..<end, using: &generator) }
    }
  }
}

extension HostileImage {
  /// Reads the file as it is now, checks that what was found can be, and that a restore comes to the same
  /// verdict.
  ///
  /// - Returns: what was read.
  @discardableResult
  func judge(_ damage: String) throws -> Image {
    let offset = plan.layout.streamOffset == .zero ? nil : plan.layout.streamOffset
    let image = try Image(reading: file, streamOffset: offset)
    let restore = ImageRestore(file, streamOffset: offset, options: Self.options)
    do throws(ImageError) {
      let outcome = try restore.run { (block) throws(ImageError) in
        do throws(SystemCallError) {
          return try MemoryPages(byteCount: Int(block.usedLength.rawValue))
        } catch {
          throw .system(error)
        }
      }
      #expect(image.isComplete, "\(damage): restored, though \(image.problems)")
      #expect(outcome.image.blocks == image.blocks, "\(damage)")
      expectSane(image, damage)
    } catch {
      #expect(!image.isComplete, "\(damage): accepted, but not restored: \(error)")
      expectOneSentence("\(error)", about: path, damage)
    }
    for problem in image.problems { expectOneSentence("\(problem)", about: nil, damage) }
    return image
  }

  /// An image that was accepted has its regions inside the file, one after the other.
  private func expectSane(_ image: Image, _ damage: String) {
    let size = image.fileSize
    var last = image.streamOffset
    var sum = ByteCount.zero
    for block in image.blocks {
      #expect(block.layout.entry >= last, "\(damage)")
      if let bitmap = block.layout.bitmap, let pages = block.layout.pages {
        #expect(block.layout.entry < bitmap.lowerBound, "\(damage)")
        #expect(bitmap.upperBound <= pages.lowerBound, "\(damage)")
        #expect(pages.byteCount == block.usedLength, "\(damage)")
        #expect((block.pagesPresent ?? -1) <= block.pageCount, "\(damage)")
      }
      last = block.layout.end
      sum += block.usedLength
    }
    #expect(sum == image.ramTotal, "\(damage)")
    #expect((image.tail?.lowerBound ?? .zero) >= last, "\(damage)")
    #expect((image.tail?.upperBound ?? .zero) <= size, "\(damage)")
    for (section, next) in zip(image.sections, image.sections.dropFirst()) {
      #expect(section.offset + section.byteCount <= next.offset, "\(damage)")
    }
    for section in image.sections {
      #expect(section.offset + section.byteCount <= size, "\(damage)")
      #expect(section.body.upperBound <= section.offset + section.byteCount, "\(damage)")
    }
  }
}

/// An error's text is one line of printable characters, not empty, and names the file where it is about one.
func expectOneSentence(_ text: String, about path: FilePath?, _ damage: String) {
  #expect(!text.isEmpty, "\(damage)")
  #expect(
    text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }, "\(damage): \(text)")
  #expect(text.utf8.count < 1024, "\(damage): \(text)")
  if let path { #expect(text.contains(path.string), "\(damage): \(text)") }
}
