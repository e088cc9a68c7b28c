import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport

/// An image of `Fixtures/`, opened and read.
struct OpenFixture {
  let fixture: Fixture
  let directory: TemporaryDirectory
  let file: File
  let image: Image

  init(_ fixture: Fixture) throws {
    self.fixture = fixture
    directory = try TemporaryDirectory()
    file = try File.open(fixture.unpack(into: directory), access: .readWrite)
    let offset = FileOffset(fixture.expected.streamOffset)
    image = try Image(
      reading: file, streamOffset: fixture.expected.libvirt == nil ? offset : nil)
  }

  init(_ name: String) throws { try self.init(Fixture(name)) }
}

/// The stream in memory, as somebody who has nothing but its bytes reads it.
func readBack(
  _ stream: PlainStreamWriter, pageSize: PageSize? = nil
) throws -> (bytes: [UInt8], stream: DeviceStateStream) {
  let file = try File.inMemory(name: "stream", byteCount: 0)
  let byteCount = try stream.write(to: file)
  let bytes = try file.readBytes(at: 0, count: Int(byteCount) + 1)
  precondition(bytes.count == Int(byteCount), "the stream is all that is in the file")
  return (bytes, try DeviceStateStream(reading: file, pageSize: pageSize))
}

/// A file in memory with these bytes.
func memoryFile(_ bytes: [UInt8]) throws -> File {
  let file = try File.inMemory(name: "bytes", byteCount: 0)
  try file.write(bytes, at: 0)
  return file
}

extension FilePages {
  /// All bytes.
  var allBytes: [UInt8] {
    get throws { try file.readBytes(at: start, count: Int(byteCount)) }
  }
}

/// A small plain stream, put together by hand.
struct StreamBuilder {
  var output = ByteOutput()

  /// The header and, with a name, the CONFIGURATION.
  init(machine: String? = nil, capabilities: [String] = []) {
    StreamHeader().encode(into: &output)
    if let machine {
      let list = capabilities.isEmpty ? [] : [Configuration.Subsection.capabilities(capabilities)]
      Configuration(machineType: machine, subsections: list).encode(into: &output)
    }
  }

  var bytes: [UInt8] { output.bytes }

  mutating func footer(_ id: UInt32) { SectionFooter(id: id).encode(into: &output) }

  mutating func startRAM(_ blocks: [RAMBlockEntry], id: UInt32 = 1) {
    StreamElement.start(id: id, .ram).encode(into: &output)
    RAMWord.memorySize(blocks.reduce(.zero) { $0 + $1.usedLength }).encode(into: &output)
    for block in blocks { block.encode(into: &output) }
    RAMWord.endOfSection.encode(into: &output)
    footer(id)
  }

  /// A section of RAM with these records; a page's bytes are all `fill`.
  mutating func records(
    _ records: [(RAMRecord, fill: UInt8)], isEnd: Bool = false, id: UInt32 = 1
  ) {
    (isEnd ? StreamElement.end(id: id) : .part(id: id)).encode(into: &output)
    for (record, fill) in records {
      record.encode(into: &output)
      if case .page = record { output.write(repeatElement(fill, count: 4096)) }
    }
    RAMWord.endOfSection.encode(into: &output)
    footer(id)
  }

  mutating func device(_ idstr: String, _ body: [UInt8], id: UInt32) {
    let identity = SectionIdentity(idstr: idstr, instanceID: 0, version: 1)
    StreamElement.full(id: id, identity).encode(into: &output)
    output.write(body)
    footer(id)
  }

  mutating func end() { StreamElement.endOfStream.encode(into: &output) }
}
