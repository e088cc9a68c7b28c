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
    static let variants: [Variant] = [
      Variant("q35"),
      Variant("pc, four channels, direct", machine: "pc").with {
        ($0.channels, $0.isDirect) = (4, true)
      },
      Variant("microvm at an offset", machine: "microvm").with { $0.offset = 4096 },
      Variant("q35 at an odd offset").with { $0.offset = 1000 },
      Variant("live, with stale slots").with { $0.isLive = true },
      Variant("live, two channels, direct", machine: "pc").with {
        ($0.isLive, $0.channels, $0.isDirect) = (true, 2, true)
      },
      Variant("zero pages written").with { $0.zeroPageDetection = "none" },
      Variant("VGA", machine: "pc").with { $0.arguments = ["-device", "VGA,vgamem_mb=1"] },
      Variant.backed(by: "memory-backend-ram", "private backend"),
      Variant.backed(by: "memory-backend-ram,prealloc=on", "allocated from the start"),
      Variant.backed(by: "memory-backend-memfd", "memfd"),
      Variant.backed(by: "memory-backend-memfd,share=off", "private memfd"),
      Variant.backed(by: "memory-backend-file,mem-path=DIR/main,share=on", "shared file"),
      Variant.backed(by: "memory-backend-file,mem-path=DIR/main,share=off", "private file"),
      Variant.numa,
      Variant("two processors").with { $0.arguments = ["-smp", "2"] },
    ]

    /// Nothing is lost on the way: memory to the byte, the guest's count, its sum.
    @Test(arguments: variants)
    func imageOfQEMUGoesOn(_ variant: Variant) throws {
      let vm = try SavedVM(variant)
      for engine in restoreEngines where engine != .map || variant.offset % 4096 == 0 {
        let directory = try Self.directory(for: variant)
        try restoring(
          vm.image, at: variant.offset, by: engine,
          into: variant.configuration(in: directory), in: directory, then: .pause
        ) { restored in
          #expect(restored.report.engine == engine)
          #expect(restored.report.state == "paused")
          try restored.expectMemory(of: vm.qemu, at: variant.places)
          let expected: VMRestoreReport.Way =
            engine == .map ? .mapped : engine == .place ? .placed : .loaded
          for place in variant.places where place.idstr != "pc.bios" {
            #expect(restored.way(of: place.idstr) == expected, "\(place.idstr)")
          }
          try restored.qmp.execute(.cont)
          try restored.expectGuestGoesOn(from: vm.qemu.serial, sum: variant.guest.sum)
        }
      }
    }

    /// The same through the socket of a QEMU that waits; QEMU's own settings are as before.
    @Test(
      arguments: [
        Variant("q35"), Variant("live", machine: "pc").with { $0.isLive = true },
        Variant.numa, Variant("microvm at an offset", machine: "microvm").with { $0.offset = 4096 },
      ], [VMRestore.Engine.auto, .place, .qemu])
    func imageGoesIntoAWaitingVM(_ variant: Variant, engine: VMRestore.Engine) throws {
      let vm = try SavedVM(variant)
      let directory = try Self.directory(for: variant)
      try restoringIntoWaiting(
        vm.image, at: variant.offset, by: engine, into: variant.configuration(in: directory),
        then: .pause
      ) { restored in
        #expect(restored.report.engine == (engine == .auto ? .place : engine))
        #expect(restored.report.engineReasons.isEmpty)
        let settings = try restored.qmp.execute(.queryMigrationCapabilities)
        #expect(settings.filter(\.value).keys.sorted() == [])
        #expect(try restored.qmp.execute("query-fdsets").elements?.isEmpty == true)
        try restored.expectMemory(of: vm.qemu, at: variant.places)
        try restored.qmp.execute(.cont)
        try restored.expectGuestGoesOn(from: vm.qemu.serial, sum: variant.guest.sum)
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
      let vm = try SavedVM(Variant("q35").with { $0.isLive = wasRunning })
      #expect(try RestoreSource(vm.image).wasRunning == wasRunning)
      for engine in restoreEngines {
        try restoring(
          vm.image, by: engine, into: vm.variant.configuration(in: vm.directory),
          then: afterwards
        ) { restored in
          #expect(restored.report.state == state)
          #expect(try restored.qmp.execute(.queryStatus).rawValue == state)
          if state == "running" { try restored.waitForLineEnds(2) }
        }
      }
    }

    /// A directory with the files that a VM of this kind needs: a pc-dimm's, with other bytes in it than the image's.
    static func directory(for variant: Variant) throws -> TemporaryDirectory {
      let directory = try TemporaryDirectory()
      if variant.usesFile {
        try Data(repeating: 0xA5, count: 8 << 20).write(
          to: URL(fileURLWithPath: directory.file("dimm").string))
      }
      return directory
    }
  }
}
