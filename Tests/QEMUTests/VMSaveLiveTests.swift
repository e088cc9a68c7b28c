import Foundation
import Glibc
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport
import Testing

/// Guests that change pages all the time, half of them to zero and back: so many MiB of 48.
enum BusyGuest: UInt32, CaseIterable {
  /// Some: the rounds get shorter.
  case writer = 4
  /// Nearly all.
  case toucher = 44

  /// All RAM.
  static let memory = VMKind.busy(writer.rawValue).memory.map(\.range)
}

extension LiveVM {
  fileprivate init(_ guest: BusyGuest) throws {
    try self.init(VMKind.busy(guest.rawValue).configuration)
  }

  /// No slot of an absent page holds anything.
  fileprivate func expectNoStaleSlots() throws {
    let file = try File.open(image, access: .read, directIO: .off)
    for block in try Image(reading: file).blocks {
      let present = try #require(try block.readBitmap(from: file))
      let slots = try #require(block.layout.pages)
      let found = try #require(try SlotAllocation.find(block, present: present, in: file))
      for run in found.stalePages.runs {
        let bytes = try file.readBytes(
          at: slots.lowerBound.rawValue + UInt64(run.lowerBound) * 4096, count: run.count * 4096)
        #expect(bytes.allSatisfy { $0 == 0 }, "\(block.idstr) pages \(run)")
      }
    }
  }
}

extension RealQEMU {
  /// VMs that run while they are saved.
  @Suite struct VMSaveLiveTests {
    /// The guest is paused at the end, so that what was saved can be compared with what it has.
    @Test(
      arguments: BusyGuest.allCases,
      [nil, QEMU.Configuration.Backend.memfd(isShared: true), .file("main", isShared: true)])
    func capturedLive(_ guest: BusyGuest, memory: QEMU.Configuration.Backend?) throws {
      let kind = VMKind.busy(guest.rawValue, memory: memory)
      let vm = try LiveVM(kind.configuration)
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.engine = .capture
        $0.live = LiveOptions(maximumDowntime: .milliseconds(20))
        $0.afterwards = .pause
      }
      let live = try #require(report.live)
      #expect(report.engine == .capture && report.pause != nil && report.stateAfter == "paused")
      #expect(!live.rounds.isEmpty && live.rounds[0].changedBytes > 0)
      #expect(live.hashBytes >= UInt64(vm.qemu.configuration.mebibytes) << 20 / 256)
      try vm.expectNoStaleSlots()
      try expectLoaded(
        vm.image, into: vm.qemu.configuration, from: vm.qemu, memory: BusyGuest.memory)
      for engine in restoreEngines {
        try restoring(vm.image, by: engine, into: vm.qemu.configuration, then: .resume) {
          restored in
          try restored.expectGuestGoesOn(from: vm.qemu)
        }
      }
    }

    private static let limit: UInt64 = 64 << 20

    /// It goes on after the save, and so does what is restored.
    @Test(arguments: [VMSave.Engine.capture, .qemu], [true, false])
    func bothGoOn(engine: VMSave.Engine, isLimited: Bool) throws {
      let vm = try LiveVM(.writer)
      let before = try vm.qemu.state()
      let start = ContinuousClock.now
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.engine = engine
        $0.liveMethod = .rounds
        $0.live = LiveOptions(bytesPerSecond: isLimited ? Self.limit : nil)
      }
      if isLimited {
        // The first round alone writes what is present, but for what QEMU and we send before the limit holds.
        let least = Double(report.transfer.presentBytes) / Double(Self.limit) * 0.7
        #expect(ContinuousClock.now - start > .seconds(least))
      }
      #expect(report.stateAfter == "running")
      #expect(try #require(report.pause) > .zero)
      let live = try #require(report.live)
      // What is written is the same for both, and so is the report.
      let written = live.rounds.reduce(live.lastRound.changedBytes) { $0 + $1.changedBytes }
      #expect(written >= report.transfer.presentBytes * 9 / 10, "\(live)")
      #expect(!live.rounds.isEmpty && live.rounds.allSatisfy { $0.elapsed > .zero })
      #expect((live.hashBytes > 0) == (engine == .capture))
      #expect(try vm.qemu.state() == before)
      try vm.qemu.expectGoesOn()
      try expectLoaded(
        vm.image, into: vm.qemu.configuration, from: vm.qemu, continues: false)
      try vm.expectNoStaleSlots()
      #expect(vm.qemu.log == "")
    }

    @Test(arguments: BusyGuest.allCases)
    func savedLiveByQEMU(_ guest: BusyGuest) throws {
      let vm = try LiveVM(guest)
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.engine = .qemu
        $0.live = LiveOptions(maximumDowntime: .milliseconds(20), maximumRounds: 5)
        $0.afterwards = .pause
      }
      #expect(try #require(report.live).rounds.count >= 1)
      try vm.expectNoStaleSlots()
      try expectLoaded(
        vm.image, into: vm.qemu.configuration, from: vm.qemu, memory: BusyGuest.memory)
    }

    /// A guest that changes all of its memory: no number of rounds makes the pause as short as 1 ms.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func oneThatDoesNotConvergeFails(engine: VMSave.Engine) throws {
      let vm = try LiveVM(.toucher)
      let before = try vm.qemu.state()
      let error = #expect(throws: VMError.self) {
        try vm.qemu.saveVM(to: vm.image) {
          $0.engine = engine
          $0.liveMethod = .rounds
          $0.live = LiveOptions(
            maximumDowntime: .milliseconds(1), maximumRounds: 6, ifNotConverging: .fail)
        }
      }
      guard case .image(.save(.doesNotConverge(_, _, .milliseconds(1), _))) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(try vm.qemu.state() == before)
      #expect(try vm.directory.names().isEmpty)
      try vm.qemu.expectGoesOn()
    }

    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func oneThatDoesNotConvergeIsPaused(engine: VMSave.Engine) throws {
      let vm = try LiveVM(.toucher)
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.engine = engine
        $0.live = LiveOptions(maximumDowntime: .milliseconds(1), maximumRounds: 3)
        $0.afterwards = .pause
      }
      let live = try #require(report.live)
      #expect(!live.hasConverged)
      // Left alone, QEMU would make rounds without end.
      #expect(live.rounds.count <= (engine == .capture ? 3 : 5))
      try expectLoaded(
        vm.image, into: vm.qemu.configuration, from: vm.qemu, memory: BusyGuest.memory)
    }

    /// The same, and the VM runs afterwards: the image says that it ran, and so does the report.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func oneThatDoesNotConvergeIsResumed(engine: VMSave.Engine) throws {
      let vm = try LiveVM(.toucher)
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.engine = engine
        $0.live = LiveOptions(maximumDowntime: .milliseconds(1), maximumRounds: 3)
      }
      #expect(report.stateBefore == "running" && report.after == .state("running"))
      let file = try File.open(vm.image, access: .read, directIO: .off)
      #expect(try Image(reading: file).runState(in: file) == .running)
      try vm.qemu.expectGoesOn()
    }

    /// One that is paused is saved as it is.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func onePausedHasNoRounds(engine: VMSave.Engine) throws {
      let vm = try LiveVM(.writer)
      try vm.qemu.stop()
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.engine = engine
        $0.live = LiveOptions()
      }
      #expect(report.live == nil && report.pause == nil)
      try expectLoaded(
        vm.image, into: vm.qemu.configuration, from: vm.qemu, memory: BusyGuest.memory)
    }

    @Test func snapshotsAndQEMUsOwnLiveSaveDoNotGoTogether() throws {
      let vm = try LiveVM(.writer)
      let before = try vm.qemu.state()
      let disks = try TemporaryDirectory()
      #expect(throws: VMError.liveSnapshots) {
        try vm.qemu.saveVM(to: vm.image) {
          $0.engine = .qemu
          $0.live = LiveOptions()
          $0.snapshotDirectory = disks.path
        }
      }
      #expect(try vm.qemu.state() == before)
      #expect(try vm.directory.names().isEmpty)
    }
  }

  /// The built command, ended in the middle of a live save.
  @Suite struct VMSaveLiveKilledTests {
    /// At 1 MiB/s the rounds take long enough.
    private func started(_ vm: LiveVM, _ engine: VMSave.Engine) throws -> RunningTool {
      let save = try RunningTool(
        saving: vm.qemu, to: vm.image,
        ["--engine", engine.rawValue, "--live", "--max-bandwidth", "1M", "--progress", "json"])
      try save.wait(for: "the first round") { save.errors.contains("\"round\":1") }
      #expect(try vm.qemu.status() == "running")
      return save
    }

    @Test(arguments: [VMSave.Engine.capture, .qemu], [SIGINT, SIGTERM])
    func interrupted(engine: VMSave.Engine, number: Int32) throws {
      let vm = try LiveVM.slow()
      let save = try started(vm, engine)
      save.send(number)
      #expect(try save.wait() == 130)
      #expect(save.errors.contains("Interrupted"), "\(save.errors)")
      try vm.expectAsBefore(says: engine == .qemu)
    }

    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func killed(engine: VMSave.Engine) throws {
      let vm = try LiveVM.slow()
      let save = try started(vm, engine)
      save.send(SIGKILL)
      #expect(try save.wait() == 128 + SIGKILL)
      try vm.qemu.wait(for: "the watchdog", seconds: 40) { try vm.qemu.state() == vm.before }
      try vm.expectAsBefore(says: engine == .qemu)
    }

    /// In the last round, while the VM is paused: a device holds it up.
    @Test(arguments: [SIGINT, SIGKILL], ["rounds", "snapshot"])
    func endedInTheLastRound(number: Int32, method: String) throws {
      let vm = try method == "rounds" ? LiveVM.slow() : LiveVM(.writer)
      let save = try RunningTool(
        saving: vm.qemu, to: vm.image,
        [
          "--engine", "capture", "--live", "--live-method", method, "--max-rounds", "1", "--device",
          "x=|sleep 1000",
        ])
      try save.wait(for: "the pause") { try vm.qemu.status() == "paused" }
      save.send(number)
      #expect(try save.wait() == (number == SIGINT ? 130 : 128 + SIGKILL), "\(save.errors)")
      try vm.qemu.wait(for: "the watchdog", seconds: 40) { try vm.qemu.state() == vm.before }
      try vm.expectAsBefore()
    }
  }
}
