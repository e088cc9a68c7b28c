import Foundation
import TestSupport
import Testing

@testable import MappedRAMCommands
@testable import MappedRAMFormat

@Suite struct InspectDeviceTests {
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func inspect(_ name: String, _ arguments: String...) throws -> InspectOutcome {
    try InspectOutcome(Fixture(name).unpack(into: directory), arguments)
  }

  /// The lines of one device, from its own to the next empty one.
  private func lines(of device: String, in text: String) throws -> [String] {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    let first = try #require(lines.firstIndex { $0.hasPrefix("\(device), instance") })
    return Array(lines[first...].prefix { !$0.isEmpty })
  }

  /// The values are what QEMU itself says: the guest was stopped in real mode at 0x7c6a.
  @Test func decodesTheProcessor() throws {
    let cpu = try lines(of: "cpu", in: try inspect("q35", "--devices").output)
    #expect(cpu[0].hasPrefix("cpu, instance 0, version 12: "))
    #expect(cpu.contains("  env.eip: 31850 = 0x7c6a (uint64)"))
    #expect(cpu.contains("  env.segs: 6 elements (struct)"))
    #expect(cpu.contains("      limit: 4294967295 = 0xffffffff (uint32)"))
    #expect(cpu.contains("  env.cr[0]: 17 = 0x11 (uint64)"))
    #expect(cpu.contains("  env.a20_mask: -1 (int32)"))
  }

  @Test func showsTheRunStateAsText() throws {
    let state = try lines(of: "globalstate", in: try inspect("q35", "--devices").output)
    #expect(state.contains("  size: 7 (uint32)"))
    #expect(state.contains("  runstate: \"paused\", 32 bytes (buffer)"))
  }

  @Test func showsSubsectionsWithTheirFields() throws {
    let lines = try inspect("q35", "--devices").output.split(separator: "\n")
    let first = try #require(lines.firstIndex { $0.contains("subsection ") })
    let indent = lines[first].prefix { $0 == " " }.count
    #expect(lines[first + 1].prefix { $0 == " " }.count == indent + 2)
  }

  @Test(arguments: ["q35", "pc", "arm-virt", "s390x", "alpha", "libvirt"])
  func everyDeviceDecodesToItsLastByte(_ name: String) throws {
    let outcome = try inspect(name, "--devices")
    #expect(!outcome.output.contains("  ! "))
    #expect(!outcome.output.contains("(not d"))
    let devices = try #require(
      try inspect(name, "--devices", "--json").object()["devices"] as? [[String: Any]])
    #expect(devices.count == (try Fixture(name).expected.sections.count { $0.type == "full" }))
    for device in devices {
      let state = try #require(device["state"] as? [String: Any])
      #expect(device["problem"] is NSNull)
      #expect(state["offset"] as? Int == device["offset"] as? Int)
      #expect(state["length"] as? Int == device["length"] as? Int)
    }
  }

  @Test func jsonHasRawValues() throws {
    let devices = try #require(
      try inspect("q35", "--devices", "--json").object()["devices"] as? [[String: Any]])
    func field(_ device: String, _ name: String) throws -> [String: Any] {
      let found = try #require(devices.first { $0["idstr"] as? String == device })
      let state = try #require(found["state"] as? [String: Any])
      let fields = try #require(state["fields"] as? [[String: Any]])
      return try #require(fields.first { $0["name"] as? String == name })
    }
    #expect(try field("cpu", "env.eip")["value"] as? Int == 0x7c6a)
    #expect(try field("cpu", "env.a20_mask")["value"] as? Int == -1)
    #expect((try field("cpu", "env.regs")["value"] as? [UInt64])?.count == 16)
    let state = try field("globalstate", "runstate")
    #expect(state["text"] as? String == "paused")
    #expect(state["value"] as? String == "706175736564" + String(repeating: "00", count: 26))
  }

  @Test func saysWhereThereIsNoDescription() throws {
    let outcome = try inspect("no-vmdesc", "--devices")
    #expect(outcome.status == 0)
    #expect(outcome.output.contains("This image has no JSON description of the device state"))
    #expect(outcome.output.contains("(not described)"))
    #expect(outcome.output.contains("globalstate, instance 0, version 1: 104 bytes at "))
  }

  @Test func saysWhereBytesAndDescriptionDisagree() throws {
    let state = DecodedState(
      name: "d", version: 1,
      fields: [
        DecodedField(name: "a", index: nil, type: "uint8", value: .unsigned(10), range: 8..<9)
      ], subsections: [], range: 8..<9)
    let problem = FormatError(
      .truncated(needed: 4, available: 1), at: 9, in: .section("device"))
    let text = text(of: .decoded(DecodedDevice(state: state, problem: problem)))
    #expect(text.contains("  a: 10 = 0xa (uint8)\n  ! The bytes and the description disagree: "))
    #expect(text.contains("section \"device\" at 0x9"))
    let short = self.text(of: .decoded(DecodedDevice(state: state, problem: nil)))
    #expect(short.hasSuffix("  ! 3 bytes at 0x9 are not described.\n"))
  }

  @Test(arguments: [
    (DecodedValue.bytes([]), "no bytes"), (.bytes([1, 0xab]), "01 ab"),
    (.bytes(Array("abc".utf8) + [0]), "\"abc\", 4 bytes"),
    (.bytes(Array(repeating: 0, count: 9)), "9 zero bytes"), (.absent, "null"),
    (.bool(true), "true"),
    (.signed(-5), "-5"), (.unsigned(.max), "18446744073709551615 = 0xffffffffffffffff"),
  ])
  func valuesOnOneLine(_ value: DecodedValue, _ expected: String) {
    #expect(text(of: value) == "  v: \(expected) (t)\n")
  }

  @Test func equalElementsAreFolded() {
    let values = [1, 2, 2, 2, 3, 3, 3, 3].map { DecodedValue.unsigned($0) }
    #expect(text(of: .array(values)) == "  v: 8 elements (t)\n    1, 2, 2, 2, 3 x 4\n")
    #expect(text(of: .array([])) == "  v: 0 elements (t)\n")
  }

  @Test func longBuffersAreDumpedWithRepeatedLinesLeftOut() {
    let line = String(repeating: " ff", count: 32)
    let bytes = [UInt8](repeating: 0xff, count: 100)
    #expect(
      text(of: .bytes(bytes))
        == "  v: 100 bytes (t)\n    00 \(line)\n    *\n    60  ff ff ff ff\n")
    let different = (0..<200 * 32).map { UInt8($0 / 32 % 251) }
    #expect(text(of: .bytes(different)).hasSuffix("\n    ... 2304 more bytes\n"))
  }

  private func text(of value: DecodedValue) -> String {
    let field = DecodedField(name: "v", index: nil, type: "t", value: value, range: 0..<4)
    let state = DecodedState(
      name: "d", version: 1, fields: [field], subsections: [], range: 8..<12)
    let text = text(of: .decoded(DecodedDevice(state: state, problem: nil)))
    return String(text.drop { $0 != "\n" }.dropFirst())
  }

  private func text(of outcome: DeviceFacts.Outcome) -> String {
    var text = ""
    DevicesText { text += $0 }.write(
      DeviceFacts(
        identity: SectionIdentity(idstr: "device", instanceID: 0, version: 1), body: 8..<12,
        outcome: outcome))
    return text
  }
}
