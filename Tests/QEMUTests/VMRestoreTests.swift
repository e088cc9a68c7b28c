import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Images that a stock QEMU wrote, put into a VM by each engine.
  @Suite struct VMRestoreTests {
    /// The machines, the ways in which QEMU saves, and the kinds of memory.
    static let variants: [VMKind] = [
      VMKind("q35"),
      VMKind(
        "pc, four channels, direct", machine: "pc", migration: .init(channels: 4, isDirect: true)),
      VMKind("microvm at an offset", machine: "microvm", migration: .init(offset: 4096)),
      VMKind("q35 at an odd offset", migration: .init(offset: 1000)),
      VMKind("live, with stale slots", isLive: true),
      VMKind(
        "live, two channels, direct", machine: "pc", isLive: true,
        migration: .init(channels: 2, isDirect: true)),
      VMKind("zero pages written", migration: .init(zeroPageDetection: "none")),
      VMKind("VGA", machine: "pc") { $0.arguments = ["-device", "VGA,vgamem_mb=1"] },
      VMKind.backed(by: "memory-backend-ram", "private backend"),
      VMKind.backed(by: "memory-backend-ram,prealloc=on", "allocated from the start"),
      VMKind.backed(by: "memory-backend-memfd", "memfd"),
      VMKind.backed(by: "memory-backend-memfd,share=off", "private memfd"),
      VMKind.backed(by: "memory-backend-file,mem-path={directory}/main,share=on", "shared file"),
      VMKind.backed(by: "memory-backend-file,mem-path={directory}/main,share=off", "private file"),
      VMKind.numa(),
      VMKind("two processors") { $0.arguments = ["-smp", "2"] },
    ]

    /// Nothing is lost on the way: memory to the byte, the guest's count, its sum.
    @Test(arguments: variants)
    func imageOfQEMUGoesOn(_ kind: VMKind) throws {
      let vm = try SavedVM(kind)
      for engine in restoreEngines where engine != .map || kind.migration.offset % 4096 == 0 {
        let directory = try Self.directory(for: kind)
        try restoring(
          vm.image, at: kind.migration.offset, by: engine,
          into: kind.configuration(in: directory), in: directory, then: .pause
        ) { restored in
          #expect(restored.report.engine == engine)
          #expect(restored.report.state == "paused")
          try restored.expectMemory(of: vm.qemu, at: kind.memory)
          let expected: VMRestoreReport.Way =
            engine == .map ? .mapped : engine == .place ? .placed : .loaded
          for place in kind.memory where place.idstr != "pc.bios" {
            #expect(restored.way(of: place.idstr) == expected, "\(place.idstr)")
          }
          try restored.qmp.execute(.cont)
          try restored.expectGuestGoesOn(from: vm.qemu)
        }
      }
    }

    /// The same through the socket of a QEMU that waits; QEMU's own settings are as before.
    @Test(
      arguments: [
        VMKind("q35"), VMKind("live", machine: "pc", isLive: true),
        VMKind.numa(),
        VMKind("microvm at an offset", machine: "microvm", migration: .init(offset: 4096)),
      ], [VMRestore.Engine.auto, .place, .qemu])
    func imageGoesIntoAWaitingVM(_ kind: VMKind, engine: VMRestore.Engine) throws {
      let vm = try SavedVM(kind)
      let directory = try Self.directory(for: kind)
      try restoringIntoWaiting(
        vm.image, at: kind.migration.offset, by: engine, into: kind.configuration(in: directory),
        then: .pause
      ) { restored in
        #expect(restored.report.engine == (engine == .auto ? .place : engine))
        #expect(restored.report.engineReasons.isEmpty)
        let settings = try restored.qmp.execute(.queryMigrationCapabilities)
        #expect(settings.filter(\.value).keys.sorted() == [])
        #expect(try restored.qmp.execute("query-fdsets").elements?.isEmpty == true)
        try restored.expectMemory(of: vm.qemu, at: kind.memory)
        try restored.qmp.execute(.cont)
        try restored.expectGuestGoesOn(from: vm.qemu)
      }
    }

    /// The VM does what it did when it was saved, unless something else is asked for.
    @Test(
      arguments: [
        (true, .asBefore, "running"), (false, .asBefore, "paused"), (true, .pause, "paused"),
        (false, .resume, "running"),
      ] as [(Bool, Ending, String)])
    func vmDoesWhatTheImageSaysOrIsAskedFor(
      wasRunning: Bool, afterwards: Ending, state: String
    ) throws {
      let vm = try SavedVM(VMKind("q35", isLive: wasRunning))
      #expect(try RestoreSource(vm.image).wasRunning == wasRunning)
      for engine in restoreEngines {
        try restoring(
          vm.image, by: engine, into: vm.kind.configuration(in: vm.directory),
          then: afterwards
        ) { restored in
          #expect(restored.report.state == state)
          #expect(try restored.qmp.execute(.queryStatus).rawValue == state)
          if state == "running" { try restored.waitForLineEnds(2) }
        }
      }
    }

    /// A directory with the files that a VM of this kind needs: a pc-dimm's, with other bytes in it than the image's.
    static func directory(for kind: VMKind) throws -> TemporaryDirectory {
      let directory = try TemporaryDirectory()
      if kind.usesFile {
        try Data(repeating: 0xA5, count: 8 << 20).write(
          to: URL(fileURLWithPath: directory.file("dimm").string))
      }
      return directory
    }
  }
}
