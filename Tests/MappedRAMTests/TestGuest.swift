import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport

@testable import MappedRAM

/// A made-up guest: blocks in memory, and the device state of none.
struct TestGuest {
  var blocks: [(block: RAMBlock, pages: MemoryPages)] = []

  /// A guest with blocks of these sizes, in pages, whose pages are zero with the chance `zeroFraction`.
  init(
    pages counts: [Int], pageSize: PageSize = .fourKiB, zeroFraction: Double = 0.4,
    using generator: inout SeededGenerator
  ) throws {
    for (index, count) in counts.enumerated() {
      let byteCount = pageSize.bytes(inPages: count)
      let block = try RAMBlock(
        idstr: "ram\(index)", usedLength: ByteCount(byteCount), pageSize: pageSize)
      let memory = try MemoryPages(byteCount: byteCount)
      for page in 0..<count where Double.random(in: 0..<1, using: &generator) >= zeroFraction {
        // Eight bytes at a random place tell pages apart; a whole page of them would take long in a debug build.
        let place = Int.random(in: 0..<(pageSize.byteCount / 8), using: &generator) * 8
        memory.put(generator.bytes(8), at: pageSize.bytes(inPages: page) + place)
      }
      blocks.append((block, memory))
    }
  }

  /// A guest with one block of `count` pages, which are zero but for the first and each `step`-th from there.
  init(pages count: Int, step: Int) throws {
    var generator = SeededGenerator()
    try self.init(pages: [count], zeroFraction: 1, using: &generator)
    for page in stride(from: 0, to: count, by: step) {
      blocks[0].pages.put([1], at: PageSize.fourKiB.bytes(inPages: page))
    }
  }

  /// The smallest tail: the end of RAM and the end of the stream.
  static var tail: [UInt8] {
    var output = ByteOutput()
    StreamElement.end(id: 1).encode(into: &output)
    RAMWord.endOfSection.encode(into: &output)
    SectionFooter(id: 1).encode(into: &output)
    StreamElement.endOfStream.encode(into: &output)
    return output.bytes
  }

  /// The same with a description of the device state.
  static func describedTail() throws -> [UInt8] {
    var output = ByteOutput()
    output.write(tail)
    try DeviceDescription(opaque: [], configuration: configuration, pageSize: .fourKiB)
      .encode(into: &output)
    return output.bytes
  }

  static let configuration = Configuration(
    machineType: "none", subsections: [.capabilities(["mapped-ram"])])

  /// The plan of its image.
  func plan(
    presentZeros: [PageBitmap?] = [], tail: [UInt8] = Self.tail, slots: SlotLayout = .qemu,
    keepsHoles: Bool = false, statesZeroSlots: Bool = false
  ) throws -> SavePlan {
    let planned = blocks.enumerated().map { index, pair in
      SavePlan.Block(
        pair.block, pages: pair.pages,
        presentZeros: index < presentZeros.count ? presentZeros[index] : nil)
    }
    return try SavePlan(
      prologue: StreamPrologue(configuration: Self.configuration), blocks: planned,
      tail: [.bytes(tail)], slots: slots, keepsHoles: keepsHoles, statesZeroSlots: statesZeroSlots,
      for: "plan")
  }

  /// The bytes of block `index`.
  func contents(_ index: Int) -> [UInt8] { blocks[index].pages.allBytes }
}

/// Restores an image into memory that starts with other bytes, so that a page that is not put shows.
func restoreToMemory(
  _ path: FilePath, options: ChannelOptions = .standard, factory: (any ChannelIOFactory)? = nil
) throws -> [[UInt8]] {
  var restore = ImageRestore(
    try File.open(path, access: .read, directIO: options.directIO), options: options)
  restore.factory = factory
  var targets: [MemoryPages] = []
  _ = try restore.run { (block) throws(ImageError) in
    let pages = try calling { () throws(SystemCallError) in
      try MemoryPages(byteCount: Int(block.usedLength.rawValue))
    }
    unsafe pages.withUnsafeMutableBytes { bytes in
      _ = unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0xEE)
    }
    targets.append(pages)
    return pages
  }
  return targets.map(\.allBytes)
}
