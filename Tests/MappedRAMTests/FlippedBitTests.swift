import Foundation
import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// A bit flipped anywhere in an image with sums: found, and named rightly, or it lies where FORMAT.md says that bytes mean nothing, or
/// before the stream.
@Suite struct FlippedBitTests {
  /// How an image came about.
  enum Kind: CaseIterable {
    case capture, live, libvirt, devices, hugePages
  }

  let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  /// Bits for each kind: `MAPPED_RAM_FLIPPED_BITS`, or 100.
  private static var bits: Int {
    ProcessInfo.processInfo.environment["MAPPED_RAM_FLIPPED_BITS"].flatMap { Int($0) } ?? 100
  }

  private func image(_ kind: Kind, using generator: inout SeededGenerator) throws -> FilePath {
    let guest = try TestGuest(pages: [60, 20], zeroFraction: 0.5, using: &generator)
    let path = directory.file("image")
    var plan = try guest.plan(
      tail: TestGuest.describedTail(), slots: kind == .hugePages ? .hugePages : .qemu)
    switch kind {
    case .capture, .live, .hugePages: break
    case .libvirt:
      let other = try Fixture("libvirt").unpack(into: directory)
      let start = try Image(at: other).streamOffset
      let file = try File.open(other, access: .read, directIO: .off)
      plan = try SavePlan(
        prologue: plan.prologue, blocks: plan.blocks, tail: plan.tail,
        prefix: .bytes(try file.readBytes(at: 0, count: Int(start.rawValue))),
        streamOffset: start, for: "plan")
    case .devices:
      let device = TestDevice([.init(bytes: generator.bytes(5000)), .init(bytes: [7])])
      plan = try plan.with(devices: [DeviceSource(DeviceIdentity("gpu"), from: device)])
    }
    var save = ImageSave(plan)
    save.hasChecksums = true
    if kind == .live {
      var ongoing = try save.begin(to: path, live: LiveOptions())
      try ongoing.runRounds()
      for page in stride(from: 0, to: 60, by: 7) {
        guest.blocks[0].pages.put([UInt8(page)], at: page << 12)
      }
      _ = try ongoing.writePages().finish()
    } else {
      _ = try save.run(to: path)
    }
    return path
  }

  /// What a byte of an image with sums means.
  private enum Meaning {
    case pages(idstr: String, Int), bitmap(String), nothing, notCovered, stream, buffer
    case entries(String)
    /// A part of an area, or what closes them.
    case area(Range<FileOffset>)
  }

  private struct Whole {
    var image: Image
    var bitmaps: [PageBitmap]
    var sums: SumsArea

    init(_ file: File, _ path: FilePath) throws {
      image = try Image(reading: file)
      bitmaps = try image.blocks.map { try #require(try $0.readBitmap(from: file)) }
      sums = try #require(try ImageVerification(at: path).run().sums)
    }

    func meaning(_ offset: FileOffset) -> Meaning {
      if offset < image.streamOffset { return .notCovered }
      for (block, bitmap) in zip(image.blocks, bitmaps) {
        guard let place = block.layout.bitmap, let pages = block.layout.pages else { continue }
        if place.contains(offset) { return .bitmap(block.idstr) }
        if pages.contains(offset) {
          let page = Int((offset - pages.lowerBound).rawValue) / block.pageSize.byteCount
          return bitmap[page] ? .pages(idstr: block.idstr, page) : .nothing
        }
        if offset >= place.upperBound, offset < pages.lowerBound { return .nothing }
      }
      guard let end = image.tail?.upperBound, offset >= end else { return .stream }
      guard let area = image.areas.headers.first(where: { $0.range.contains(offset) }) else {
        return .area((image.areas.headers.last?.range.upperBound ?? end)..<image.fileSize)
      }
      if offset < area.end { return .area(area.range.lowerBound..<area.end) }
      if area.table.contains(offset) { return .area(area.table) }
      var place = sums.entries.lowerBound
      for block in sums.blocks where area.kind == .sums {
        let end = place + ByteCount(block.entryCount * ContentSum.byteCount)
        if offset >= place, offset < end { return .entries(block.block.idstr) }
        place = end
      }
      let isOfABuffer = (image.deviceArea?.devices ?? []).flatMap(\.buffers).contains {
        offset >= $0.offset && offset < $0.offset + $0.byteCount
      }
      return isOfABuffer ? .buffer : .nothing
    }
  }

  /// Whether `outcome` is right about a bit at `offset` that means `meaning`.
  private func isRight(
    _ outcome: ImageVerification.Outcome, _ offset: FileOffset, _ meaning: Meaning
  ) -> Bool {
    guard (outcome.root != nil) == outcome.isWhole else { return false }
    func names(_ test: (ImageVerification.Damage) -> Bool) -> Bool {
      !outcome.isWhole && outcome.damage.contains(where: test)
    }
    switch meaning {
    case .nothing: return outcome.isWhole
    case .notCovered:
      return outcome.isWhole || names { if case .structure = $0 { true } else { false } }
    case .pages(let idstr, let page):
      guard outcome.damagedChunkCount == 1, outcome.damage.count == 1 else { return false }
      return names {
        if case .pages(idstr, let pages, let place) = $0 {
          pages.contains(page) && place.contains(offset)
        } else {
          false
        }
      }
    case .bitmap(let idstr):
      return names { if case .bitmap(idstr, let at) = $0 { at.contains(offset) } else { false } }
    case .entries(let idstr):
      return outcome.damage.count == 1
        && names { if case .entries(idstr, let at) = $0 { at.contains(offset) } else { false } }
    case .buffer:
      return outcome.damage.count == 1
        && names {
          if case .buffer(DeviceIdentity("gpu"), _, let at) = $0 {
            at.contains(offset)
          } else {
            false
          }
        }
    case .stream:
      return names { if case .span(_, let at) = $0 { at.contains(offset) } else { false } }
    case .area(let part):
      return names {
        if case .structure(let error) = $0 { part.contains(error.offset) } else { false }
      }
    }
  }

  @Test(arguments: Kind.allCases) func eachIsFoundOrMeansNothing(kind: Kind) throws {
    var generator = SeededGenerator()
    let path = try image(kind, using: &generator)
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let whole = try Whole(file, path)
    #expect(try ImageVerification(at: path).run().isWhole)
    let size = try file.size()
    let start = whole.image.streamOffset.rawValue
    let regions: [Range<UInt64>] = [
      start..<whole.image.blocks[0].layout.entry.rawValue + 100,
      (whole.image.tail?.lowerBound.rawValue ?? 0)..<size,
      (whole.image.areas.headers.last?.table.upperBound.rawValue ?? 0)..<size,
    ]
    for number in 0..<Self.bits {
      // Half of them anywhere; pages are most of it.
      let range = number % 2 == 0 ? 0..<size : regions[number / 2 % regions.count]
      let offset = FileOffset(UInt64.random(in: range, using: &generator))
      let bit = UInt8(1) << UInt8.random(in: 0..<8, using: &generator)
      let byte = try file.readBytes(at: offset.rawValue, count: 1)[0]
      try file.write([byte ^ bit], at: offset.rawValue)
      let outcome = try ImageVerification(at: path).run()
      let meaning = whole.meaning(offset)
      #expect(
        isRight(outcome, offset, meaning), "bit \(bit) at \(offset), \(meaning): \(outcome.damage)")
      try file.write([byte], at: offset.rawValue)
    }
    #expect(try ImageVerification(at: path).run().isWhole)
  }
}
