import Foundation
import TestSupport
import Testing

@testable import MappedRAMCommands

/// `inspect --json` of each fixture, against what the independent reader found in it.
@Suite struct InspectFixtureTests {
  private func inspect(_ fixture: Fixture) throws -> (InspectOutcome, InspectedImage) {
    let directory = try TemporaryDirectory()
    let path = try fixture.unpack(into: directory)
    let offset =
      fixture.expected.libvirt == nil ? ["--offset", "\(fixture.expected.streamOffset)"] : []
    let outcome = try InspectOutcome(path, ["--json", "--pages"] + offset)
    return (outcome, try outcome.decoded())
  }

  @Test(arguments: Fixture.all)
  func saysWhatTheImageIs(_ fixture: Fixture) throws {
    let (outcome, found) = try inspect(fixture)
    let expected = fixture.expected
    #expect(outcome.status == (expected.error == nil ? 0 : 65))
    #expect(found.complete == (expected.error == nil))
    #expect(found.problems.count == (expected.error == nil ? 0 : 1))
    #expect(outcome.complaints.count == found.problems.count)
    #expect(found.schemaVersion == 1)
    #expect(found.container == (expected.libvirt == nil ? "qemu" : "libvirt"))
    #expect(found.streamOffset == expected.streamOffset)
    #expect(found.machineType == expected.machine)
    #expect(found.capabilities == expected.capabilities)
    #expect(found.uuid?.filter { $0 != "-" } == expected.uuid)
    #expect(found.ramTotalBytes == expected.total)
    #expect(found.fileSize == expected.fileSize)
    #expect(found.hasDescription == (expected.descriptionOffset != nil))
  }

  @Test(arguments: Fixture.all)
  func findsEveryBlock(_ fixture: Fixture) throws {
    let (_, found) = try inspect(fixture)
    let expected = try #require(fixture.expected.blocks)
    #expect(found.blocks.map(\.idstr) == expected.map(\.idstr))
    for (block, other) in zip(found.blocks, expected) {
      #expect(block.usedLength == other.usedLength)
      #expect(block.pageSize == other.pageSize)
      #expect(block.pageCount == other.pages)
      #expect(block.isIgnored == other.ignored)
      #expect(block.address == other.address)
      #expect(block.bitmapOffset == (other.ignored ? nil : other.bitmapOffset))
      #expect(block.pagesOffset == (other.ignored ? nil : other.pagesOffset))
      #expect(block.pagesPresent == other.present)
      #expect((block.presentRuns ?? []).reduce(0) { $0 + $1[1] } == other.present ?? 0)
    }
  }

  /// Slots that hold something are a part of the slots that take space, which is all that can be seen from outside.
  @Test(arguments: Fixture.all)
  func countsStaleSlotsAndSpace(_ fixture: Fixture) throws {
    let (_, found) = try inspect(fixture)
    var sum: UInt64 = 0
    for (block, other) in zip(found.blocks, try #require(fixture.expected.blocks)) {
      guard !other.ignored else {
        #expect(block.pagesStale == nil && block.allocatedBytes == nil)
        continue
      }
      let (stale, allocated) = (try #require(block.pagesStale), try #require(block.allocatedBytes))
      #expect(stale >= other.stale ?? 0)
      #expect(stale + (other.present ?? 0) <= other.pages)
      #expect(allocated <= (stale + (other.present ?? 0)) * other.pageSize)
      #expect(allocated >= stale)
      sum += allocated
    }
    #expect(found.allocatedBytes >= sum)
    #expect(fixture.expected.blocks?.contains { $0.stale ?? 0 > 0 } != true || sum > 0)
  }

  @Test(arguments: Fixture.all)
  func listsEverySection(_ fixture: Fixture) throws {
    let (_, found) = try inspect(fixture)
    let expected = fixture.expected
    let first = try #require(found.sections.first)
    #expect(first.type == "CONFIGURATION")
    #expect(first.offset == expected.streamOffset + 8)
    #expect(first.offset + first.length == expected.sections.first?.offset)

    let sections = found.sections.filter {
      !["CONFIGURATION", "EOF", "VMDESCRIPTION"].contains($0.type)
    }
    // A section that the end of the file cuts has no length, so it is not listed.
    let isCut = fixture.name == "killed"
    let others = isCut ? expected.sections.dropLast() : expected.sections[...]
    #expect(sections.map(\.type) == others.map { $0.type.uppercased() })
    #expect(sections.map(\.offset) == others.map(\.offset))
    #expect(sections.map(\.id) == others.map(\.id))
    for (section, other) in zip(sections, others) where other.idstr != nil {
      #expect(section.idstr == other.idstr)
      #expect(section.instanceID == other.instance)
      #expect(section.version == other.version)
    }
    // Nothing lies between sections, so their lengths are right if each begins where the last one ended.
    for (section, next) in zip(found.sections, found.sections.dropFirst()) {
      #expect(section.offset + section.length == next.offset)
    }
    let last = try #require(found.sections.last)
    if let end = expected.endOffset { #expect(last.offset + last.length == end) }
    #expect(found.sections.first { $0.type == "EOF" }?.offset == expected.eofOffset)
    let description = found.sections.first { $0.type == "VMDESCRIPTION" }
    #expect(description?.offset == expected.descriptionOffset)
    #expect(description.map { $0.length - 5 } == expected.descriptionLength)
  }

  /// The live image was saved while the guest ran; the others were stopped before, or never ran.
  @Test(arguments: ["live": "running", "q35": "paused", "s390x": "prelaunch", "libvirt": "paused"])
  func findsTheRunState(_ name: String, _ state: String) throws {
    let (_, found) = try inspect(try Fixture(name))
    #expect(found.runState == state)
  }

  @Test func summarizesTheDomainOfLibvirt() throws {
    let fixture = try Fixture("libvirt")
    let found = try #require(try inspect(fixture).1.libvirt)
    #expect(found.name == "sparse")
    #expect(found.uuid == "6d617070-6564-2d72-616d-000000000001")
    #expect(found.memoryBytes == 4 << 20)
    #expect(found.vcpus == 1)
    #expect(found.machine == "pc-i440fx-10.0")
    #expect(found.format == "sparse")
    #expect(found.isComplete)
    #expect(found.hasCookie == (fixture.expected.libvirt.map { $0.cookieOffset > 0 }))
    #expect(found.wasRunning == (fixture.expected.libvirt.map { $0.wasRunning == 1 }))
  }

  /// Programs may rely on every key, and on null for what is unknown.
  @Test func everyKeyIsThereWhateverTheImage() throws {
    let object = try inspect(try Fixture("no-vmdesc")).0.object()
    #expect(
      Set(object.keys) == [
        "allocatedBytes", "areas", "blocks", "capabilities", "command", "complete", "container",
        "deviceArea",
        "facts", "fileSize",
        "hasDescription", "layout", "hugePageObstacles", "libvirt", "machineType", "pageSize",
        "path",
        "problems", "ramTotalBytes", "remarks", "runState", "schemaVersion", "sections",
        "streamOffset", "subject", "type", "uuid",
      ])
    #expect(object["uuid"] is NSNull)
    #expect(object["libvirt"] is NSNull)
    let block = try #require((object["blocks"] as? [[String: Any]])?.first)
    #expect(
      Set(block.keys) == [
        "address", "allocatedBytes", "bitmapOffset", "idstr", "isIgnored", "pageCount", "pageSize",
        "pagesOffset", "fitsHugePages", "pagesPresent", "pagesStale", "presentBytes", "presentRuns",
        "presentRunsCut", "staleRuns", "staleRunsCut", "usedLength",
      ])
    let section = try #require((object["sections"] as? [[String: Any]])?.first)
    #expect(
      Set(section.keys) == [
        "command", "id", "idstr", "instanceID", "length", "offset", "type", "version",
      ])
  }

  @Test func whatTheFileCannotSayIsNull() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("cut")
    try Subprocess.succeed(["sh", "-c", "printf 'QEVM\\0\\0\\0\\3\\7' > '\(path)'"])
    let outcome = try InspectOutcome(path, ["--json"])
    #expect(outcome.status == 65)
    let object = try outcome.object()
    for key in ["capabilities", "machineType", "pageSize", "ramTotalBytes", "runState"] {
      #expect(object[key] is NSNull)
    }
    let problems = try #require(object["problems"] as? [[String: Any]])
    #expect(problems.count == 1)
    let details = try #require(problems.first)
    #expect(Set(details.keys) == ["context", "kind", "message", "offset", "path"])
    #expect(details["kind"] as? String == "badData")
    #expect(details["offset"] as? Int == 9)
    #expect(details["context"] as? String == "CONFIGURATION section")
  }
}
