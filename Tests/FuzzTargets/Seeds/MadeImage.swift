import MappedRAMFormat

/// A small image, written by hand: its pages stand at the next multiple of the page size, not of 1 MiB.
struct MadeImage {
  struct Block {
    var idstr: String
    var pages: Int
    /// Pages that are present; `nil` for a block that is left out.
    var present: [Int]?
  }

  var configuration = Configuration(
    machineType: "none", subsections: [.targetPageBits(10), .capabilities(["mapped-ram"])])
  var preamble: [UInt8] = []
  var ramSectionID: UInt32 = 1
  var hasFooters = true
  var pageSize = PageSize(byteCount: 1024) ?? .fourKiB
  var blocks = [Block(idstr: "pc.ram", pages: 3, present: [0, 2])]
  var tail = MadeTail().bytes
  var streamOffset = FileOffset.zero

  /// The bytes of the stream.
  func bytes() throws(FormatError) -> [UInt8] {
    let prologue = StreamPrologue(
      configuration: configuration, preamble: preamble, ramSectionID: ramSectionID,
      hasFooters: hasFooters)
    var output = prologue.encoded(at: streamOffset)
    let list = try blocks.map { block throws(FormatError) in
      try RAMBlock(
        idstr: block.idstr, usedLength: ByteCount(pageSize.bytes(inPages: block.pages)),
        pageSize: pageSize, address: configuration.ignoresShared ? 0x1000 : nil,
        isIgnored: block.present == nil)
    }
    RAMWord.memorySize(list.reduce(.zero) { $0 + $1.usedLength }).encode(into: &output)
    for (ram, block) in zip(list, blocks) { try write(ram, block, &output) }
    output.write(prologue.encodedListEnd(at: output.offset).bytes)
    output.write(tail)
    return output.bytes
  }

  private func write(
    _ ram: RAMBlock, _ block: Block, _ output: inout ByteOutput
  ) throws(FormatError) {
    let form = RAMBlockEntry.Form(configuration)
    let headerEnd = output.offset + RAMBlockEntry.byteCount(of: ram, form: form)
    let pages = (headerEnd + ram.bitmapBytes).alignedUp(to: UInt64(pageSize.byteCount))
    let layout = try BlockLayout(
      of: ram, entry: output.offset, headerEnd: headerEnd, pagesOffset: pages)
    RAMBlockEntry(
      idstr: ram.idstr, usedLength: ram.usedLength, address: ram.address,
      header: layout.header(pageSize: pageSize)
    ).encode(into: &output)
    guard let present = block.present, let slots = layout.pages else { return }
    var bitmap = PageBitmap(pageCount: ram.pageCount)
    for page in present { bitmap[page] = true }
    bitmap.encode(into: &output)
    output.write(repeatElement(0, count: Int((slots.lowerBound - output.offset).rawValue)))
    for page in 0..<ram.pageCount {
      let byte = bitmap[page] ? UInt8(truncatingIfNeeded: page + 1) : 0
      output.write(repeatElement(byte, count: pageSize.byteCount))
    }
  }

  static var seeds: [FuzzSeed] {
    do throws(FormatError) {
      return try made()
    } catch {
      preconditionFailure("images that are as they should be: \(error)")
    }
  }

  private static func made() throws(FormatError) -> [FuzzSeed] {
    var small = MadeImage()
    small.blocks = [Block(idstr: "r", pages: 1, present: [0])]
    small.tail = MadeTail(hasDescription: false, hasDevices: false).bytes
    var blocks = MadeImage()
    blocks.blocks += [
      Block(idstr: "vga.vram", pages: 1, present: []), Block(idstr: "x", pages: 2, present: [1]),
    ]
    var undescribed = MadeImage()
    undescribed.tail = MadeTail(hasDescription: false).bytes
    var footerless = MadeImage()
    footerless.hasFooters = false
    footerless.tail = MadeTail(hasFooters: false).bytes
    var shared = MadeImage()
    shared.configuration.subsections = [
      .capabilities(["x-ignore-shared", "mapped-ram"]), .uuid(Array(1...16)),
    ]
    shared.blocks.append(Block(idstr: "shared", pages: 4, present: nil))
    var early = MadeImage()
    early.preamble = preambleBytes
    let whole = try MadeImage().bytes()
    return [
      FuzzSeed("small", try small.bytes()), FuzzSeed("blocks", try blocks.bytes()),
      FuzzSeed("no-description", try undescribed.bytes()),
      FuzzSeed("no-footers", try footerless.bytes()), FuzzSeed("shared", try shared.bytes()),
      FuzzSeed("preamble", try early.bytes()), FuzzSeed("whole", whole),
      FuzzSeed("behind", whole + [0, 1, 2, 3]),
      FuzzSeed("area", whole + MadeArea.bytes(behind: whole)),
      FuzzSeed("libvirt", try libvirt()),
    ]
  }

  /// A command and a device, before RAM.
  private static var preambleBytes: [UInt8] {
    var output = ByteOutput()
    StreamElement.command(Command(.postcopyAdvise)).encode(into: &output)
    let device = SectionIdentity(idstr: "timer", instanceID: 0, version: 2)
    StreamElement.full(id: 9, device).encode(into: &output)
    output.write([1, 2, 3, 4, 5, 6, 7, 8])
    SectionFooter(id: 9).encode(into: &output)
    return output.bytes
  }

  private static func libvirt() throws(FormatError) -> [UInt8] {
    let container = MadeContainer.whole
    var image = MadeImage()
    image.streamOffset = FileOffset(UInt64(container.count))
    return container + (try image.bytes())
  }
}
