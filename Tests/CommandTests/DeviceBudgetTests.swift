import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAMCommands

/// A description that asks for many values without a single byte costs no more where its device comes again and again.
@Suite struct DeviceBudgetTests {
  @Test func valuesOfAllDevicesAreLimited() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("image")
    let block = try RAMBlock(idstr: "r", usedLength: 4096, pageSize: .fourKiB)
    let plan = try SavePlan(
      prologue: StreamPrologue(configuration: .mappedRAM(machineType: "none")),
      blocks: [SavePlan.Block(block, pages: try MemoryPages(byteCount: 4096))],
      tail: [.bytes(tail)], for: path)
    _ = try ImageSave(plan).run(to: path)
    let file = try File.open(path, access: .read)
    let devices = try DeviceFacts.all(in: try Image(reading: file), of: file)
    #expect(devices.count == 3)
    guard case .decoded(let first) = devices[0].outcome,
      case .decoded(let second) = devices[1].outcome
    else {
      Issue.record("\(devices.map(\.identity))")
      return
    }
    #expect(first.problem == nil)
    let limit = UInt64(ImageLimits.descriptionValues)
    #expect(
      second.problem?.kind == .overLimit(.descriptionValues, found: limit + 1, limit: limit))
    #expect(devices[2].outcome == .tooLong)
  }

  private var tail: [UInt8] {
    var output = ByteOutput()
    StreamElement.end(id: 1).encode(into: &output)
    RAMWord.endOfSection.encode(into: &output)
    SectionFooter(id: 1).encode(into: &output)
    for id: UInt32 in 5...7 {
      let device = SectionIdentity(idstr: "x", instanceID: 0, version: 1)
      StreamElement.full(id: id, device).encode(into: &output)
      SectionFooter(id: id).encode(into: &output)
    }
    StreamElement.endOfStream.encode(into: &output)
    let text = """
      {"devices": [{"name": "x", "instance_id": 0, "vmsd_name": "x", "version": 1, "fields": [\
      {"name": "a", "array_len": 700000, "type": "x", "size": 0}]}]}
      """
    output.writeBigEndian(SectionType.description.rawValue)
    output.writeBigEndian(UInt32(text.utf8.count))
    output.write(text.utf8)
    return output.bytes
  }
}
