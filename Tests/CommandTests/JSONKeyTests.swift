import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUArguments
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAMCommands
@testable import QEMUControl

/// The keys of all JSON, as a file in Snapshots/; `SNAPSHOT_UPDATE=1` writes it anew. The documentation's page JSON.md names them.
@Suite struct JSONKeyTests {
  /// The paths of all keys in `value`, with `[]` for the elements of a list.
  private static func keys(_ value: Any, _ path: String = "") -> Set<String> {
    switch value {
    case let object as [String: Any]:
      object.reduce(into: []) { found, entry in
        let path = path.isEmpty ? entry.key : "\(path).\(entry.key)"
        found.insert(path)
        found.formUnion(keys(entry.value, path))
      }
    case let list as [Any]:
      list.reduce(into: []) { $0.formUnion(keys($1, path + "[]")) }
    default: []
    }
  }

  private static let facts = ImageFacts(
    memoryDevices: [ImageFacts.MemoryFacts(kind: "dimm", backend: "m", address: 1 << 32)],
    disks: [
      ImageFacts.DiskFacts(
        name: "vda", file: "/d", format: "raw",
        state: ImageFacts.FileState(byteCount: 1, modifiedSeconds: 2, modifiedNanoseconds: 3))
    ])

  private func section(_ title: String, _ texts: [String]) throws -> String {
    let all = try texts.map { text in
      let object = try JSONSerialization.jsonObject(
        with: Data(text.utf8), options: .fragmentsAllowed)
      return Self.keys(object)
    }
    let keys = all.reduce(into: Set<String>()) { $0.formUnion($1) }
    return "\(title)\n" + keys.sorted().map { "  \($0)\n" }.joined()
  }

  @Test func theKeysOfEveryCommandAreThese() throws {
    let directory = try TemporaryDirectory()
    let image = try Fixture("live").unpack(into: directory)
    let (parts, copy) = (directory.file("parts").string, directory.file("copy.img").string)
    func run(_ words: [String]) throws -> String {
      try Tool.run(words + ["--json", "--quiet"]).text
    }
    var saved = VMReportTests().captured
    saved.engineReasons = [.unknownAddresses]
    saved.live = LiveArgumentTests.report
    saved.liveChoice = VMReportTests.choice
    saved.liveChoice?.obstacles = [.devices]
    saved.after = .failed(.gone, state: "paused")
    saved.disks = [
      VMSaveReport.DiskOfImage(name: "vda", file: "/d/a.qcow2", overlay: "/s/a.qcow2")
    ]
    saved.transfer.base = BaseReport(path: "vm.old", obstacle: .noChecksums)
    saved.transfer.notes = [.directIORefused("vm.img", .asked)]
    var restored = VMReportTests().mapped
    restored.engineReasons = [.unknownAddresses]
    restored.transfer = VMReportTests.transfer
    restored.deviations = [.otherDisk(disk: "vda", saved: "/a", found: "/b")]
    var restore = RestoreReport(image: "vm.img", report: restored, notes: [.lockedMemory])
    restore.disks = [DiskClone(name: "d", file: "/d/a.img", overlay: "/c/d.qcow2")]
    var seen = VMInspectTests().open
    seen.save.captureObstacles = [.unknownAddresses]
    seen.save.engineObstacles = [.runState(.inMigrate)]
    let mismatch = VMError.mismatches("vm.img", [.machineType(found: "pc", expected: "q35")])
    let error = ErrorLine(error: ErrorJSON(.vm(mismatch, output: nil)), status: .negative)
    let cut = directory.file("cut.img")
    try Subprocess.succeed(["sh", "-c", "head -c 100000 '\(image)' > '\(cut)'"])
    // Device states have the names of QEMU's fields below.
    let inspect = try run(["inspect", image.string, "--pages"])
    let device = "--device=gpu=|printf abc"
    let sealed = directory.file("sealed.img").string
    let text = try [
      section("save", [JSONText.line(SaveReport(image: "vm.img", report: saved).json)]),
      section("restore", [JSONText.line(restore.json)]),
      section("inspect IMAGE", [inspect, try run(["inspect", cut.string])]),
      section("facts of inspect IMAGE", [JSONText.line(InspectJSON.Facts(Self.facts))]),
      section("inspect SOCKET", [JSONText.line(VMInspectJSON(seen, at: "/run/vm.qmp"))]),
      section("unpack", [try run(["unpack", image.string, parts])]),
      section("pack", [try run(["pack", device, parts, copy])]),
      section("verify", [JSONText.line(VerifyReportTests.damaged().json)]),
      section("seal", [try run(["seal", "--copy", sealed, copy]), try run(["seal", sealed])]),
      section("repair", [JSONText.line(RepairReportTests.report().json)]),
      section("diff", [JSONText.line(try DiffReportTests.everything().json)]),
      section("bench --live", [JSONText.line(try LiveBenchReportTests.report().json)]),
      section("compact", [try run(["compact", image.string])]),
      section("error", [JSONText.line(error)]),
    ].joined(separator: "\n")
    try expectSnapshot("json-keys", text)
  }
}
