import MappedRAMFormat
@testable import QEMUControl
import QMP
import TestSupport
import Testing

/// What stands against a capture, as a fake QEMU tells it: also what no test can have in a real one.
@Suite struct CaptureObstacleTests {
  /// A QEMU without obstacles, with some answers replaced.
  func obstacles(_ changes: [String: JSONValue]) throws -> [CaptureObstacle] {
    var answers: [String: JSONValue] = [
      "query-migrate": [:], "query-status": ["status": "running"],
      "query-target": ["arch": "x86_64"], "qom-get": "pc-q35-10.0-machine",
      "query-migrate-capabilities": [["capability": "dirty-bitmaps", "state": false]],
      "qom-list": [
        ["name": "type", "type": "string"], ["name": "n", "type": "child<virtio-net>"],
      ],
      "query-commands": [
        ["name": "stop"], ["name": "cont"], ["name": "xen-save-devices-state"], ["name": "x"],
      ],
    ]
    answers.merge(changes) { $1 }
    return try withConnection { [answers] qemu throws in
      while let request = try qemu.request() {
        let name = try #require(request["execute"]?.string)
        qemu.send(FakeQEMU.success(try #require(answers[name]), to: request))
      }
    } client: { connection throws in
      try connection.captureObstacles()
    }
  }

  @Test func anOrdinaryVMHasNone() throws {
    #expect(try obstacles([:]).isEmpty)
    // A migration that is over is none.
    for status in ["none", "completed", "failed", "cancelled"] {
      #expect(try obstacles(["query-migrate": ["status": .string(status)]]).isEmpty)
    }
    for state in ["paused", "prelaunch", "postmigrate", "shutdown", "suspended", "io-error"] {
      #expect(try obstacles(["query-status": ["status": .string(state)]]).isEmpty)
    }
    #expect(
      try obstacles(["query-target": ["arch": "ppc64"], "qom-get": "powernv-10.0-machine"]).isEmpty)
  }

  @Test(arguments: ["setup", "active", "pre-switchover", "device", "colo", "cancelling", "beaming"])
  func aMigrationUnderWayIsOne(status: String) throws {
    #expect(
      try obstacles(["query-migrate": ["status": .string(status)]])
        == [.migrating(MigrationInfo.Status(rawValue: status))])
  }

  @Test(arguments: ["inmigrate", "finish-migrate", "save-vm", "restore-vm", "colo"])
  func aStateInWhichMemoryMovesIsOne(state: String) throws {
    #expect(
      try obstacles(["query-status": ["status": .string(state)]])
        == [.runState(RunState(rawValue: state))])
  }

  /// A guest that is asleep can be captured; QEMU cannot save it by itself.
  @Test func aSleepingGuestIsNotForQEMU() throws {
    #expect(try obstacles(["query-status": ["status": "suspended"]]).isEmpty)
    #expect(RunState.running.canMigrate && RunState.paused.canMigrate)
    for state in ["suspended", "postmigrate", "inmigrate", "finish-migrate"] {
      #expect(!RunState(rawValue: state).canMigrate, "\(state)")
    }
  }

  @Test func allAreNamedInOneGo() throws {
    let found = try obstacles([
      "query-migrate": ["status": "active", "blocked-reasons": ["a", "b"]],
      "query-target": ["arch": "s390x"], "qom-get": "s390-ccw-virtio-10.0-machine",
      "query-migrate-capabilities": [
        ["capability": "x-colo", "state": true], ["capability": "dirty-bitmaps", "state": true],
        ["capability": "events", "state": true],
      ],
      "qom-list": [["name": "hostdev0", "type": "child<vfio-pci-nohotplug>"]],
      "query-commands": [["name": "stop"]],
    ])
    #expect(
      found == [
        .migrating(.active), .blocked(reason: "a"), .blocked(reason: "b"),
        .iterableState(target: "s390x", machineType: "s390-ccw-virtio-10.0"),
        .capability("dirty-bitmaps"), .capability("x-colo"),
        .vfioDevice("/machine/peripheral/hostdev0", type: "vfio-pci-nohotplug"),
        .vfioDevice("/machine/peripheral-anon/hostdev0", type: "vfio-pci-nohotplug"),
        .missingCommand("cont"), .missingCommand("xen-save-devices-state"),
      ])
  }

  @Test(arguments: ["-machine", "pc-q35-10.0", ""]) func aMachineTypeWithoutItsSuffixIsAnError(
    type: String
  ) {
    #expect(
      thrown { _ = try obstacles(["qom-get": .string(type)]) }
        == .unexpectedAnswer(
          command: "qom-get", place: "return",
          expected: "a machine type that ends in -machine"))
  }
}
