import MappedRAMFormat

/// The image of FORMAT.md's worked example, made with the module's encoders, and its listing.
///
/// QEMU 10.0.2 writes the same bytes for the VM that the document describes.
struct ExampleImage {
  static let ram = SectionFooter(id: 1)
  static let pageSize = PageSize.fourKiB

  let layout: ImageLayout
  /// The bytes up to the end of the bitmap.
  let head: [UInt8]
  /// The slot of page 1.
  let page = [UInt8](repeating: 0xA5, count: pageSize.byteCount)
  /// The bytes from the end of the block list to the end of the file.
  let tail: [UInt8]

  init() throws {
    let prologue = StreamPrologue(
      configuration: Configuration(
        machineType: "none",
        subsections: [.capabilities([Configuration.mappedRAMCapability])]),
      ramSectionID: Self.ram.id)
    let block = try RAMBlock(idstr: "ram0", usedLength: 8192, pageSize: Self.pageSize)
    layout = try ImageLayout(prologue: prologue, blocks: [block])

    var output = prologue.encoded(at: .zero)
    RAMWord.memorySize(block.usedLength).encode(into: &output)
    RAMBlockEntry(
      idstr: block.idstr, usedLength: block.usedLength,
      header: layout.blocks[0].header(pageSize: Self.pageSize)
    ).encode(into: &output)
    var bitmap = PageBitmap(pageCount: block.pageCount)
    bitmap[1] = true
    bitmap.encode(into: &output)
    head = output.bytes
    tail = Self.tail(at: layout.listEnd)
  }

  private static func tail(at offset: FileOffset) -> [UInt8] {
    var output = ByteOutput(at: offset)
    RAMWord.endOfSection.encode(into: &output)
    ram.encode(into: &output)
    StreamElement.part(id: ram.id).encode(into: &output)
    RAMWord.endOfSection.encode(into: &output)
    ram.encode(into: &output)
    StreamElement.command(Command(.switchoverStart)).encode(into: &output)
    StreamElement.end(id: ram.id).encode(into: &output)
    RAMWord.endOfSection.encode(into: &output)
    ram.encode(into: &output)

    let timer = SectionIdentity(idstr: "timer", instanceID: 0, version: 2)
    StreamElement.full(id: 0, timer).encode(into: &output)
    output.write([UInt8](repeating: 0, count: 24))
    SectionFooter(id: 0).encode(into: &output)

    let globalState = SectionIdentity(idstr: "globalstate", instanceID: 0, version: 1)
    StreamElement.full(id: 3, globalState).encode(into: &output)
    let runState = Array("prelaunch".utf8)
    output.writeBigEndian(UInt32(runState.count + 1))
    output.write(runState + [UInt8](repeating: 0, count: 32 - runState.count))
    output.write([1, 0])
    output.write([UInt8](repeating: 0, count: 66))
    SectionFooter(id: 3).encode(into: &output)

    StreamElement.endOfStream.encode(into: &output)
    output.writeBigEndian(SectionType.description.rawValue)
    output.writeBigEndian(UInt32(description.utf8.count))
    output.write(description.utf8)
    return output.bytes
  }

  /// The JSON description, as QEMU writes it: one line.
  static let description = """
    {"configuration": {"vmsd_name": "configuration", "version": 1, "fields": [\
    {"name": "len", "type": "uint32", "size": 4}, \
    {"name": "name", "type": "buffer", "size": 4}], \
    "subsections": [\
    {"vmsd_name": "configuration/capabilities", "version": 1, "fields": [\
    {"name": "caps_count", "type": "uint32", "size": 4}, \
    {"name": "capabilities", "type": "capability", "size": 11}]}]}, \
    "page_size": 4096, \
    "devices": [\
    {"name": "timer", "instance_id": 0, "vmsd_name": "timer", "version": 2, "fields": [\
    {"name": "cpu_ticks_offset", "type": "int64", "size": 8}, \
    {"name": "unused", "type": "unused_buffer", "size": 8}, \
    {"name": "cpu_clock_offset", "type": "int64", "size": 8}]}, \
    {"name": "globalstate", "instance_id": 0, "vmsd_name": "globalstate", "version": 1, "fields": [\
    {"name": "size", "type": "uint32", "size": 4}, \
    {"name": "runstate", "type": "buffer", "size": 32}, \
    {"name": "has_vm_was_suspended", "type": "uint8", "size": 1}, \
    {"name": "vm_was_suspended", "type": "uint8", "size": 1}, \
    {"name": "unused", "type": "buffer", "size": 66}]}]}
    """
}
