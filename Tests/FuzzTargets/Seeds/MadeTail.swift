import MappedRAMFormat

/// What stands behind the block list of a made stream: an iterable device, devices of several kinds, the end.
struct MadeTail {
  var hasFooters = true
  var hasDescription = true
  var hasDevices = true
  var pageSize = 1024
  /// Pages that a plain stream has in it: each is of 1 KiB.
  var records: [RAMRecord] = []

  private static let endOfSection: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0x10]

  var bytes: [UInt8] {
    var output = ByteOutput()
    if hasDevices, hasFooters {
      // Only its footers tell where its sections end.
      let dirty = SectionIdentity(idstr: "dirty-bitmap", instanceID: 0, version: 1)
      section(.start(id: 2, dirty), id: 2, [1, 0x7E, 0, 0], &output)
      section(.part(id: 2), id: 2, [2], &output)
      section(.end(id: 2), id: 2, [], &output)
    }
    section(.part(id: 1), id: 1, encodedRecords + Self.endOfSection, &output)
    StreamElement.command(Command(.switchoverStart)).encode(into: &output)
    section(.end(id: 1), id: 1, Self.endOfSection, &output)
    if hasDevices { output.write(devices) }
    StreamElement.endOfStream.encode(into: &output)
    if hasDescription { output.write(element(Self.text(hasDevices, pageSize))) }
    return output.bytes
  }

  /// The sections of the devices that the description has.
  var devices: [UInt8] {
    var output = ByteOutput()
    let timer = SectionIdentity(idstr: "timer", instanceID: 0, version: 2)
    section(.full(id: 0, timer), id: 0, Array(repeating: 0x7E, count: 8), &output)
    let state = SectionIdentity(idstr: "globalstate", instanceID: 0, version: 1)
    var body = ByteOutput()
    GlobalState(.running).encode(into: &body)
    section(.full(id: 3, state), id: 3, body.bytes, &output)
    return output.bytes
  }

  private var encodedRecords: [UInt8] {
    var output = ByteOutput()
    for (index, record) in records.enumerated() {
      record.encode(into: &output)
      if case .page = record { output.write(repeatElement(UInt8(index + 1), count: 1024)) }
    }
    return output.bytes
  }

  private func section(
    _ element: StreamElement, id: UInt32, _ body: [UInt8], _ output: inout ByteOutput
  ) {
    element.encode(into: &output)
    output.write(body)
    if hasFooters { SectionFooter(id: id).encode(into: &output) }
  }

  private func element(_ text: String) -> [UInt8] {
    var output = ByteOutput()
    output.writeBigEndian(SectionType.description.rawValue)
    output.writeBigEndian(UInt32(text.utf8.count))
    output.write(text.utf8)
    return output.bytes
  }

  private static func text(_ hasDevices: Bool, _ pageSize: Int) -> String {
    let devices = """
      {"name": "timer", "instance_id": 0, "vmsd_name": "timer", "version": 2, "fields": [\
      {"name": "ticks", "type": "int64", "size": 8}]}, \
      {"name": "globalstate", "instance_id": 0, "vmsd_name": "globalstate", "version": 1, "fields": [\
      {"name": "size", "type": "uint32", "size": 4}, \
      {"name": "runstate", "type": "buffer", "size": 32}]}
      """
    return "{\"page_size\": \(pageSize), \"devices\": [\(hasDevices ? devices : "")]}"
  }
}
