import LinuxIO
import MappedRAM
import MappedRAMFormat

/// An image of QEMU's, made small: one page, and of the devices those with little state.
struct TakenImage {
  private let name: String
  private let file: File
  private let found: Image
  private let devices: [(section: ImageSection, body: [UInt8])]

  /// Bytes of a device's state at most, and of all of them.
  private static let deviceBytes = ByteCount(512)
  private static let allBytes = ByteCount(6 << 10)

  init(_ file: File, _ name: String) throws(Finding) {
    self.name = name
    self.file = file
    found = try succeed("the image \(name)") { () throws(ImageError) in
      try Image(reading: file)
    }
    var devices: [(section: ImageSection, body: [UInt8])] = []
    var sum = ByteCount.zero
    for section in found.sections where section.type == .full {
      sum += section.byteCount
      guard section.body.byteCount <= Self.deviceBytes, sum <= Self.allBytes else { continue }
      let body = section.body.lowerBound.rawValue..<section.body.upperBound.rawValue
      devices.append((section, try file.contents(body)))
    }
    self.devices = devices
  }

  /// The image with its own prologue, one page, the devices, and what the description says of them.
  var image: [FuzzSeed] {
    get throws(Finding) {
      guard let prologue = found.prologue, let block = found.blocks.first?.block,
        let tail = found.tail
      else { return [] }
      let description = try descriptionText(of: devices.map(\.section))
      var output = ByteOutput()
      for section in found.sections where section.offset >= tail.lowerBound {
        switch section.type {
        case .full:
          guard devices.contains(where: { $0.section == section }) else { continue }
        case .description: continue
        default: break
        }
        let start = section.offset.rawValue
        output.write(try file.contents(start..<(start + section.byteCount.rawValue)))
      }
      if let description { Self.write(description, to: &output) }
      let made = MadeImage(
        configuration: prologue.configuration, preamble: prologue.preamble,
        ramSectionID: prologue.ramSectionID, hasFooters: prologue.hasFooters,
        pageSize: block.pageSize,
        blocks: [.init(idstr: block.idstr, pages: 1, present: [0])], tail: output.bytes)
      let bytes = try succeed("a small image of \(name)") { () throws(FormatError) in
        try made.bytes()
      }
      return [FuzzSeed(name, bytes)]
    }
  }

  /// The same as a plain stream.
  var stream: [FuzzSeed] {
    get throws(Finding) {
      guard found.isComplete, let seed = try image.first else { return [] }
      let source = try File.holding(seed.bytes)
      let target = try File.holding([])
      try succeed("a plain stream of \(name)") { () throws(ImageError) in
        let image = try Image(reading: source)
        _ = try PlainStreamWriter(image, in: source).write(to: target)
      }
      return [FuzzSeed(name, try target.contents())]
    }
  }

  /// Some of the devices, each with what the description says of it.
  var description: [FuzzSeed] {
    get throws(Finding) {
      var seeds: [FuzzSeed] = []
      for (index, device) in devices.enumerated() where index % 3 == 0 {
        guard let text = try descriptionText(of: [device.section]) else { return [] }
        seeds.append(FuzzSeed("\(name)-\(index)", text + [0] + device.body))
      }
      return seeds
    }
  }

  /// The XML before the stream: libvirt's padding around it is long.
  var container: [FuzzSeed] {
    guard case .libvirt(let container) = found.container else { return [] }
    return [FuzzSeed(name, Array(container.xml.utf8))]
  }

  /// The description with nothing but `sections`.
  private func descriptionText(of sections: [ImageSection]) throws(Finding) -> [UInt8]? {
    guard let text = found.description?.text else { return nil }
    let root = try succeed("the description of \(name)") { () throws(JSONError) in
      try JSONValue(parsing: text)
    }
    guard case .object(var members) = root,
      let index = members.firstIndex(where: { $0.name == "devices" }),
      case .array(let all) = members[index].value
    else { return nil }
    members[index].value = .array(
      all.filter { device in
        sections.contains {
          device["name"] == $0.identity.map { .string($0.idstr) }
            && device["instance_id"] == $0.identity.map { .count(UInt64($0.instanceID)) }
        }
      })
    return Array(JSONValue.object(members).text.utf8)
  }

  private static func write(_ text: [UInt8], to output: inout ByteOutput) {
    output.writeBigEndian(SectionType.description.rawValue)
    output.writeBigEndian(UInt32(text.count))
    output.write(text)
  }
}
