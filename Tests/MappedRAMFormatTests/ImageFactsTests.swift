import TestSupport
import Testing

@testable import MappedRAMFormat

/// The area of facts: what is written is read, and nothing else is.
@Suite struct ImageFactsTests {
  private static let start = FileOffset(0x777)
  private static let example = ImageFacts(
    time: 1_795_819_800, host: "hôst", tool: "mapped-ram", name: "a \"VM\"", uuid: "u",
    qemuVersion: "10.0.2", commandLine: ["/usr/bin/qemu", "-m", "", "a\nb"],
    memoryDevices: [
      ImageFacts.MemoryFacts(kind: "dimm", backend: "m", address: 1 << 63, node: 0),
      ImageFacts.MemoryFacts(kind: "nvdimm", backend: "n", address: 0),
    ],
    disks: [
      ImageFacts.DiskFacts(
        name: "vda", file: "/d/a.qcow2", format: "qcow2", guestByteCount: .max,
        state: ImageFacts.FileState(
          byteCount: 1 << 63, modifiedSeconds: -1, modifiedNanoseconds: 999_999_999,
          device: .max, inode: 0)),
      ImageFacts.DiskFacts(name: "vdb", file: "nbd://x", format: "raw"),
    ])

  private static func bytes(_ facts: ImageFacts) -> [UInt8] {
    let (header, table) = facts.encoded(at: start)
    return header.bytes + table.bytes
  }

  /// An area whose table is `text`, with sums that fit.
  private static func bytes(text: String) -> [UInt8] {
    var table = ByteOutput(at: start + ByteCount(AreaHeader.byteCount))
    table.write(Array(text.utf8))
    let header = AreaHeader(
      .facts, version: 1, isNeeded: false, range: start..<table.offset, table: table)
    return header.encoded.bytes + table.bytes
  }

  private static func read(_ bytes: [UInt8]) throws(FormatError) -> ImageFacts {
    var input = ByteInput(bytes.span, at: start)
    let header = try AreaHeader(parsing: &input, fileEnd: start + ByteCount(bytes.count))
    return try ImageFacts(header: header, parsing: &input)
  }

  @Test func readsWhatItWrites() throws {
    for facts in [Self.example, ImageFacts()] {
      #expect(try Self.read(Self.bytes(facts)) == facts)
    }
  }

  @Test func whatIsNotKnownIsPassedOver() throws {
    let text = #"{"later": [1, {"x": null}], "name": "n", "disks": [{"colour": 3, "name": "a"}]}"#
    let found = try Self.read(Self.bytes(text: text))
    #expect(found.name == "n" && found.disks.map(\.name) == ["a"] && found.time == nil)
    // A state that lacks a part says nothing.
    let part = #"{"disks": [{"state": {"size": 1, "modified": 2}}]}"#
    #expect(
      try Self.read(Self.bytes(text: part)).disks == [
        ImageFacts.DiskFacts(name: "", file: "", format: "")
      ])
  }

  @Test(arguments: [
    ("", FactsProblem.notJSON(.endOfText)), ("[]", .notObject), ("{", .notJSON(.endOfText)),
    (#"{"time": 1.5}"#, .member("time", expected: "a whole number of 64 bits")),
    (#"{"host": 1}"#, .member("host", expected: "a string")),
    (#"{"commandLine": "x"}"#, .member("commandLine", expected: "a list")),
    (#"{"commandLine": [1]}"#, .member("commandLine", expected: "a list of strings")),
    (#"{"memoryDevices": [1]}"#, .member("memoryDevices", expected: "a list of objects")),
    (#"{"disks": [1]}"#, .member("disks", expected: "a list of objects")),
    (
      #"{"disks": [{"size": -1}]}"#,
      .member("size", expected: "a whole number that is not negative")
    ),
    (#"{"disks": [{"state": 1}]}"#, .member("state", expected: "an object")),
  ])
  func anotherFormIsRefused(text: String, problem: FactsProblem) throws {
    let error = #expect(throws: FormatError.self) { try Self.read(Self.bytes(text: text)) }
    #expect(error?.kind == .facts(problem), "\(String(describing: error))")
    #expect(error?.description.isEmpty == false)
  }

  @Test func damageIsFound() throws {
    let whole = Self.bytes(Self.example)
    for index in whole.indices {
      for bit in 0..<8 {
        var bytes = whole
        bytes[index] ^= 1 << bit
        // Of the kind, others are other areas.
        if (4..<8).contains(index) { continue }
        #expect(throws: FormatError.self, "byte \(index)") { try Self.read(bytes) }
      }
      #expect(throws: FormatError.self) { try Self.read(Array(whole[..<index])) }
    }
  }

  @Test func aLimitHolds() throws {
    let limit = Int(ImageLimits.factsBytes.rawValue)
    let text = "{\"name\": \"n\"}" + String(repeating: " ", count: limit - 13)
    #expect(try Self.read(Self.bytes(text: text)).name == "n")
    let error = #expect(throws: FormatError.self) { try Self.read(Self.bytes(text: text + " ")) }
    #expect(
      error?.kind == .overLimit(.factsBytes, found: UInt64(limit + 1), limit: UInt64(limit)))
  }
}
