import MappedRAMFormat

/// Small plain streams, in the three forms that are read.
enum MadeStream {
  static var seeds: [FuzzSeed] {
    [
      FuzzSeed("whole", whole(MadeTail(records: records))),
      FuzzSeed("no-description", whole(MadeTail(hasDescription: false, records: records))),
      FuzzSeed("no-footers", whole(MadeTail(hasFooters: false, records: records))),
      FuzzSeed("devices", header + MadeTail().devices + [0]),
      FuzzSeed("tail", MadeTail().bytes),
      FuzzSeed("shared", whole(MadeTail(), capabilities: ["x-ignore-shared"])),
    ]
  }

  private static let records: [RAMRecord] = [
    .page(offset: 0, idstr: "pc.ram"), .page(offset: 1024, idstr: nil),
    .zero(offset: 1024, idstr: nil), .flush, .zero(offset: 0, idstr: "rom"),
  ]

  private static var header: [UInt8] {
    var output = ByteOutput()
    StreamHeader().encode(into: &output)
    return output.bytes
  }

  private static func whole(_ tail: MadeTail, capabilities: [String] = []) -> [UInt8] {
    var output = ByteOutput()
    output.write(header)
    let list = capabilities.isEmpty ? [] : [Configuration.Subsection.capabilities(capabilities)]
    Configuration(machineType: "none", subsections: [.targetPageBits(10)] + list)
      .encode(into: &output)
    StreamElement.start(id: 1, .ram).encode(into: &output)
    RAMWord.memorySize(5120).encode(into: &output)
    let address: UInt64? = capabilities.isEmpty ? nil : 0x1000
    RAMBlockEntry(idstr: "pc.ram", usedLength: 4096, address: address).encode(into: &output)
    RAMBlockEntry(idstr: "rom", usedLength: 1024, address: address).encode(into: &output)
    RAMWord.endOfSection.encode(into: &output)
    if tail.hasFooters { SectionFooter(id: 1).encode(into: &output) }
    output.write(tail.bytes)
    return output.bytes
  }
}
