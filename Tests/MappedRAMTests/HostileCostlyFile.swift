import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// A file that is made to cost a reader much time or memory.
enum CostlyFile: String, CaseIterable, Sendable {
  /// A device of unknown length, and footers that nothing sensible follows.
  case footersWithoutEnd
  /// A device of unknown length, and behind it a hole of 1 TiB.
  case hollowSection
  /// As many sections and commands as the file holds.
  case manyParts, manyCommands
  /// Many sections, then what no section begins with, and at the end of the file a description: all is read with it, and without.
  case manyPartsAndADescription
  /// A device that the description has with many fields, and its section again and again.
  case manySectionsOfOneDevice
  /// Descriptions of one long string, of many values, of many devices.
  case longText, manyValues, manyDevices
  /// libvirt's data area as long as it may be, of one XML.
  case longLibvirtText
  /// A block of 2 TiB that is all hole, in a file that is cut off behind it.
  case hugeBlock
  /// Something that looks a bit like a description, behind the end.
  case noiseBehind
  /// One block too many.
  case manyBlocks

  /// Whether there is nothing wrong with the file.
  var isWhole: Bool {
    [.longText, .manyValues, .manyDevices, .noiseBehind, .manySectionsOfOneDevice].contains(self)
  }

  /// Makes it, sparse where it can be.
  func write(to path: FilePath) throws {
    let tiny = try HostileImage(hasDescription: false, path: path)
    let tail = tiny.plan.layout.tail.rawValue
    let file = tiny.file
    switch self {
    case .footersWithoutEnd:
      let device = SectionIdentity(idstr: "x", instanceID: 0, version: 1)
      var output = ByteOutput()
      StreamElement.start(id: 9, device).encode(into: &output)
      // Behind each footer stands something else: no section, a cut command, a PART of no section.
      let rest: [[UInt8]] = [[0xFF], [8, 0, 10, 0xFF, 0xFF], [2, 0, 0, 0, 77]]
      let footers = rest.reduce(into: [UInt8]()) { $0 += [0x7E, 0, 0, 0, 9] + $1 }
      try file.write(output.bytes + Self.repeated(footers, 16 << 20), at: tail)
      try file.truncate(to: tail + 16 << 20)
    case .hollowSection:
      let device = SectionIdentity(idstr: "x", instanceID: 0, version: 1)
      var output = ByteOutput()
      StreamElement.full(id: 9, device).encode(into: &output)
      try file.write(output.bytes, at: tail)
      try file.truncate(to: UInt64(1) << 40)
    case .manySectionsOfOneDevice:
      try Self.writeSectionsOfOneDevice(file, at: tail)
    case .manyParts:
      let part: [UInt8] = [2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x7E, 0, 0, 0, 1]
      try file.write(Self.repeated(part, 19 << 20), at: tail)
    case .manyPartsAndADescription:
      let part: [UInt8] = [2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x7E, 0, 0, 0, 1]
      let parts = (0..<ImageLimits.sections - 8).flatMap { _ in part }
      try file.write(parts + [0xFF] + ReaderEdgeTests.description(size: 1), at: tail)
    case .manyCommands:
      try file.write(Self.repeated([8, 0, 11, 0, 0], 6 << 20), at: tail)
    case .longText:
      let text = String(repeating: "a", count: 16 << 20 - 60)
      try Self.writeDescription("\"x\":\"\(text)\",\"devices\":[]", tiny)
    case .manyValues:
      let values = String(repeating: "{\"a\":[0]},", count: (1 << 20) / 3 - 9)
      try Self.writeDescription("\"x\":[\(values)0],\"devices\":[]", tiny)
    case .manyDevices:
      let device = #"{"name":"d","instance_id":0,"vmsd_name":"d","version":1,"fields":[]}"#
      let devices = String(repeating: device + ",", count: 150_000)
      try Self.writeDescription("\"devices\":[\(devices)\(device)]", tiny)
    case .longLibvirtText:
      try Self.writeLibvirt(file)
    case .hugeBlock:
      let layout = try Self.writeBlocks(
        [try RAMBlock(idstr: "huge", usedLength: ByteCount(UInt64(2) << 40), pageSize: .fourKiB)],
        file)
      try file.write([0, 0, 0, 0, 0, 0, 0, 0x10, 0x7E, 0, 0, 0, 1], at: layout.rawValue)
    case .noiseBehind:
      let noise: [UInt8] = [0x7B, 6, 0xFF, 0x7D]
      try file.write([0] + Self.repeated(noise, 20 << 20), at: tiny.plan.end.rawValue)
    case .manyBlocks:
      let blocks = try (0..<4097).map { index in
        try RAMBlock(idstr: "block \(index)", usedLength: 4096, pageSize: .fourKiB)
      }
      try file.truncate(to: try Self.writeBlocks(blocks, file).rawValue)
    }
  }

  /// `bytes` again and again, at least `count` in all.
  private static func repeated(_ bytes: [UInt8], _ count: Int) -> [UInt8] {
    var all = bytes
    while all.count < count { all += all }
    return all
  }

  private static func writeDescription(_ members: String, _ tiny: HostileImage) throws {
    let text = "{\"page_size\":4096,\(members)}"
    var output = ByteOutput()
    output.writeBigEndian(SectionType.description.rawValue)
    output.writeBigEndian(UInt32(text.utf8.count))
    try tiny.file.write(output.bytes + Array(text.utf8), at: tiny.plan.end.rawValue)
  }

  private static func writeSectionsOfOneDevice(_ file: File, at tail: UInt64) throws {
    let device = SectionIdentity(idstr: "x", instanceID: 0, version: 1)
    var section = ByteOutput()
    StreamElement.full(id: 9, device).encode(into: &section)
    SectionFooter(id: 9).encode(into: &section)
    var end = ByteOutput()
    StreamElement.end(id: 1).encode(into: &end)
    RAMWord.endOfSection.encode(into: &end)
    SectionFooter(id: 1).encode(into: &end)
    StreamElement.endOfStream.encode(into: &end)
    let field = #"{"name":"a","type":"b","size":0}"#
    let fields = String(repeating: field + ",", count: 100_000) + field
    let text = """
      {"devices":[{"name":"x","instance_id":0,"vmsd_name":"x","version":1,"fields":[\(fields)]}]}
      """
    end.writeBigEndian(SectionType.description.rawValue)
    end.writeBigEndian(UInt32(text.utf8.count))
    let sections = (0..<100_000).flatMap { _ in section.bytes }
    try file.truncate(to: tail)
    try file.write(sections + end.bytes + Array(text.utf8), at: tail)
  }

  private static func writeLibvirt(_ file: File) throws {
    let length = ImageLimits.libvirtDataBytes.rawValue
    var output = ByteOutput()
    output.write("LibvirtQemudSave".utf8)
    for number in [2, UInt32(length), 0, 6, 0] { output.writeLittleEndian(number) }
    output.write([UInt8](repeating: 0, count: LibvirtHeader.byteCount - output.bytes.count))
    try file.truncate(to: 0)
    try file.write(output.bytes + repeated([0x61], Int(length)), at: 0)
    try file.truncate(to: UInt64(LibvirtHeader.byteCount) + length)
    try file.write([0], at: UInt64(LibvirtHeader.byteCount) + length - 1)
  }

  /// Writes a head and a list of these blocks, without the list's end. Returns where that would stand.
  private static func writeBlocks(_ blocks: [RAMBlock], _ file: File) throws -> FileOffset {
    let prologue = StreamPrologue(
      configuration: Configuration(
        machineType: "pc-q35-10.0", subsections: [.capabilities(["mapped-ram"])]))
    try file.truncate(to: 0)
    var output = prologue.encoded(at: .zero)
    RAMWord.memorySize(blocks.reduce(.zero) { $0 + $1.usedLength }).encode(into: &output)
    try file.write(output.bytes, at: 0)
    let form = RAMBlockEntry.Form(prologue.configuration)
    var next = output.offset
    for block in blocks {
      let headerEnd = next + RAMBlockEntry.byteCount(of: block, form: form)
      let layout = try BlockLayout(of: block, entry: next, headerEnd: headerEnd)
      var entry = ByteOutput(at: next)
      RAMBlockEntry(
        idstr: block.idstr, usedLength: block.usedLength, header: layout.header(pageSize: .fourKiB)
      ).encode(into: &entry)
      try file.write(entry.bytes, at: next.rawValue)
      next = layout.end
    }
    return next
  }
}
