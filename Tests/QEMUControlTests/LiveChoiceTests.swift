import LinuxIO
import MappedRAM
import MappedRAMFormat
import QMP
import TestSupport
import Testing

@testable import QEMUControl

/// Rounds or QEMU's own live save: a pure function of what the rounds were like.
@Suite struct LiveChoiceTests {
  private static let mebibyte: UInt64 = 1 << 20

  /// A round that read all of 8 GiB, and wrote `changed` MiB, in `milliseconds`.
  private func round(_ changed: UInt64, _ milliseconds: Int) -> LiveRound {
    LiveRound(
      readBytes: 8192 * Self.mebibyte, changedBytes: changed * Self.mebibyte,
      elapsed: .milliseconds(milliseconds))
  }

  /// 2 GiB a second are written, 8 read.
  private var first: LiveRound { round(8192, 4000) }

  private func choice(
    _ rounds: [LiveRound], wanted: Int = 100, _ obstacles: [SaveObstacle] = [],
    maximumRounds: Int = 30
  ) -> LiveChoice {
    let options = LiveOptions(
      maximumDowntime: .milliseconds(wanted), maximumRounds: maximumRounds)
    return LiveChoice(
      after: rounds, LiveStep.next(after: rounds, options), wanted: options.maximumDowntime,
      ram: ByteCount(8192 * Self.mebibyte), obstacles: obstacles)
  }

  @Test func afterOneRoundItIsNotKnownHowFastTheGuestIs() {
    let found = choice([first])
    #expect(!found.takesQEMU && found.qemuDowntime == nil && found.rounds == 1)
    #expect(found.roundsTakeTooLong)
  }

  /// 1 s to read all memory, 50 ms to write what has changed: 100 MiB at 2 GiB a second.
  @Test func qemuIsTakenWhereReadingAllTakesTooLong() throws {
    let found = choice([first, round(100, 1050)])
    #expect(found.takesQEMU && found.roundsTakeTooLong)
    let expected = try #require(found.qemuDowntime)
    // 49 ms for writing, 20 ms and 3 ms for each GiB besides.
    #expect(expected > .milliseconds(90) && expected < .milliseconds(96))
    #expect(found.forecast.readingDowntime! > .milliseconds(990))
  }

  @Test func roundsThatKeepWhatIsWantedGoOn() {
    let found = choice([first, round(100, 1050)], wanted: 1200)
    #expect(!found.takesQEMU && !found.roundsTakeTooLong)
  }

  /// 300 MiB take QEMU 150 ms: it does not keep 100 ms either, and the rounds are made already.
  @Test func whereNeitherKeepsItRoundsGoOn() {
    let found = choice([first, round(300, 1150)])
    #expect(!found.takesQEMU && found.roundsTakeTooLong && found.qemuDowntime != nil)
    // Until a shorter round shows that less changes in less time.
    #expect(choice([first, round(300, 1150), round(100, 1050)]).takesQEMU)
  }

  /// Reading would be fast enough, but the guest changes as much in each round: QEMU has only that to write.
  @Test func qemuIsTakenWhereFurtherRoundsDoNotHelp() {
    let again = round(1000, 1500)
    #expect(!choice([first, again], wanted: 1100).takesQEMU)
    #expect(!choice([first, again, again], wanted: 1100).takesQEMU)
    #expect(choice([first, again, again, again], wanted: 1100).takesQEMU)
    #expect(choice([first, again], wanted: 1100, maximumRounds: 2).takesQEMU)
  }

  /// Its own pause has a least length.
  @Test func qemuIsNotTakenForLessThanItNeeds() {
    #expect(!choice([first, round(0, 1000)], wanted: 43).takesQEMU)
    #expect(choice([first, round(0, 1000)], wanted: 45).takesQEMU)
  }

  @Test func whatIsInQEMUsWayIsAsked() {
    let found = choice([first, round(100, 1050)], [.devices])
    #expect(!found.takesQEMU && found.qemuDowntime == nil && found.obstacles == [.devices])
  }

  // MARK: What is in its way

  private var vm: RunningVM {
    RunningVM(
      version: QEMUVersion(10, 0, 2), name: nil, uuid: nil, isManagedByLibvirt: false,
      target: "x86_64", machineType: "pc-q35-10.0", runState: .running, processorThreads: [],
      peerProcessID: nil, peerUserID: 0,
      blocks: [
        GuestBlock(
          idstr: "main", usedLength: ByteCount(8192), maxLength: ByteCount(8192), hostAddress: nil)
      ],
      namelessBlocks: [], backends: [], memoryDevices: [], disks: [],
      capabilities: [Configuration.mappedRAMCapability: false], parameters: ["direct-io": false],
      migration: MigrationInfo(blockedReasons: []), obstacles: [])
  }

  private func obstacles(
    _ change: (inout VMSave, inout RunningVM) -> Void
  ) -> [SaveObstacle] {
    var (save, vm) = (VMSave(to: "vm.img"), vm)
    save.live = LiveOptions()
    change(&save, &vm)
    return save.obstaclesToChoosingQEMU(
      vm, ImageMemory.all(of: vm, .failure(.unknownAddresses)))
  }

  @Test func whatQEMUCannotKeepIsInItsWay() {
    #expect(obstacles { _, _ in } == [])
    #expect(obstacles { save, _ in save.layout = .hugePages } == [.layout(.hugePages)])
    #expect(obstacles { save, _ in save.layout = .qemu } == [])
    #expect(obstacles { save, _ in save.snapshotDirectory = "/d" } == [.liveSnapshots])
    #expect(obstacles { save, _ in save.afterwards = .pause } == [.staysPaused])
    #expect(obstacles { save, _ in save.afterwards = .quit } == [])
    #expect(obstacles { save, _ in save.options.ioPriority = .idle } == [.ioPriority])
    #expect(obstacles { save, _ in save.image = "/dev/loop0" } == [.blockDevice("/dev/loop0")])
    #expect(
      obstacles { save, vm in
        save.options.directIO = .required
        vm.parameters = [:]
      } == [.directIO(QEMUVersion(10, 0, 2))])
    // A guest that is asleep QEMU would lose.
    #expect(obstacles { _, vm in vm.runState = .suspended } == [.runState(.suspended)])
    #expect(obstacles { _, vm in vm.capabilities = [:] } == [.tooOld(QEMUVersion(10, 0, 2))])
    for obstacle in [SaveObstacle.staysPaused, .devices, .ioPriority, .layout(.hugePages)] {
      #expect(obstacle.description.hasSuffix("."))
    }
  }

  /// As QEMU says, where its process cannot be looked at.
  @Test func aVMOnAnImageIsInItsWay() {
    func backend(
      _ vm: inout RunningVM, _ offset: UInt64, isShared: Bool = false
    ) {
      vm.backends = [
        MemoryBackend(
          id: "main", kind: "memory-backend-file", byteCount: ByteCount(8192), isShared: isShared,
          file: "/no/such/image", fileOffset: offset)
      ]
    }
    #expect(
      obstacles { _, vm in backend(&vm, 1 << 20) } == [
        .runsOnImage(idstr: "main", path: "/no/such/image")
      ])
    // A file of its own, shared memory, huge pages.
    #expect(obstacles { _, vm in backend(&vm, 0) } == [])
    #expect(obstacles { _, vm in backend(&vm, 1 << 20, isShared: true) } == [])
    #expect(
      obstacles { _, vm in
        backend(&vm, 2 << 20)
        vm.blocks[0].pageBytes = 2 << 20
      } == [])
  }

  @Test func onlyHolesInMemoryThatDoNotFitAreDangerous() {
    func memory(inMemory: Bool, holes: UInt64, available: UInt64?) -> ImageMemory {
      ImageMemory(
        idstr: "main", path: "/image", offset: 1 << 20,
        ImageMemory.Facts(isInMemory: inMemory, holes: holes, available: available))
    }
    #expect(memory(inMemory: true, holes: 5, available: 4).isDangerous)
    #expect(!memory(inMemory: true, holes: 4, available: 4).isDangerous)
    #expect(!memory(inMemory: false, holes: 5, available: 4).isDangerous)
    #expect(!memory(inMemory: true, holes: 5, available: nil).isDangerous)
    #expect(!ImageMemory(idstr: "main", path: "/image", offset: 0, nil).isDangerous)
  }
}

/// What is said where QEMU may not protect memory.
@Suite struct ProtectionAdviceTests {
  @Test func theRightIsNamedWhereItIsMissing() {
    let text = ProtectionObstacle.refused(
      reason: "Background-snapshot is not supported by host kernel"
    ).description
    #expect(text.contains("vm.unprivileged_userfaultfd = 1"))
    #expect(text.contains("/dev/userfaultfd before QEMU is started"))
    #expect(!text.contains("memfd"))
  }

  @Test func theMemoryIsNamedWhereItIsTheWrongOne() {
    let text = ProtectionObstacle.refused(
      reason: "Background-snapshot is not compatible with guest memory configuration"
    ).description
    #expect(text.contains("memfd") && !text.contains("userfaultfd"))
  }

  @Test func bothAreNamedWhereNothingIsKnown() {
    let text = ProtectionObstacle.refused(reason: "no").description
    #expect(text.contains("memfd") && text.contains("userfaultfd"))
  }
}
