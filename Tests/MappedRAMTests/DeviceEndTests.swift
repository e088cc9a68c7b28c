import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// States that come out of files, FIFOs and commands, and go into them.
@Suite struct DeviceEndTests {
  let directory: TemporaryDirectory
  let guest: TestGuest
  let state: [UInt8]

  init() throws {
    directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    guest = try TestGuest(pages: [40], using: &generator)
    state = generator.bytes(300_001)
    try File.make(directory.file("state"), state)
  }

  private let identity = DeviceIdentity("gpu")

  private func save(
    _ source: any DeviceStateSource, cancellation: Cancellation = Cancellation()
  ) throws {
    let plan = try guest.plan().with(devices: [DeviceSource(identity, from: source)])
    _ = try ImageSave(plan).run(to: directory.file("image"), cancellation: cancellation)
  }

  private func load(
    _ target: any DeviceStateTarget, cancellation: Cancellation = Cancellation()
  ) throws {
    _ = try ImageRestore(try File.open(directory.file("image"), access: .read)).run(
      cancellation: cancellation, device: { _ in target }, target: { _ in nil })
  }

  private func bytes(_ name: String) throws -> [UInt8] {
    let file = try File.open(directory.file(name), access: .read, directIO: .off)
    return try file.readBytes(at: 0, count: Int(try file.size()))
  }

  @Test func throughFiles() throws {
    try save(try FileStateSource(directory.file("state")))
    try load(try FileStateTarget(directory.file("out")))
    #expect(try bytes("out") == state)
  }

  @Test func throughCommands() throws {
    try save(CommandStateSource("cat '\(directory.file("state"))'; echo done >&2"))
    try load(CommandStateTarget("cat > '\(directory.file("out"))'"))
    #expect(try bytes("out") == state)
  }

  /// What a command leaves behind may keep its pipes open: its own end is what counts.
  @Test func aCommandEndsWhereSomethingOfItRunsOn() throws {
    let (source, out) = (directory.file("state"), directory.file("out"))
    let processes = directory.file("processes")
    let left = "sleep 100 & echo $! >> '\(processes)'"
    let took = try ContinuousClock().measure {
      try save(CommandStateSource("cat '\(source)'; \(left)"))
      try load(CommandStateTarget("cat > '\(out)'; \(left)"))
    }
    try Subprocess.succeed(["sh", "-c", "kill $(cat '\(processes)')"])
    #expect(try bytes("out") == state)
    // Not when what it left ends.
    #expect(took < .seconds(60))
  }

  /// The other end of a FIFO comes later than we do.
  @Test func throughFIFOs() throws {
    let (from, to) = (directory.file("from"), directory.file("to"))
    // One for each way: a child that another test forks meanwhile has our reading end until it is a program, and would pass for the
    // reader of what is written.
    try Subprocess.succeed(["mkfifo", from.string, to.string])
    let writer = try PosixThread<Void, any Error>(name: "writer") { [directory] in
      usleep(50_000)
      try Subprocess.succeed(["sh", "-c", "exec cat '\(directory.file("state"))' > '\(from)'"])
    }
    try save(try FileStateSource(from))
    try writer.join()
    let reader = try PosixThread<Void, any Error>(name: "reader") { [directory] in
      usleep(50_000)
      try Subprocess.succeed(["sh", "-c", "exec cat '\(to)' > '\(directory.file("out"))'"])
    }
    try load(try FileStateTarget(to))
    try reader.join()
    #expect(try bytes("out") == state)
  }

  /// Its shell is there before the VM is paused; the command itself, which may look at the device, begins when it is saved.
  @Test func aPreparedCommandBeginsWhenItIsSaved() throws {
    let mark = directory.file("mark")
    let source = try CommandStateSource(
      "echo begun > '\(mark)'; [ $# = 0 ] && cat '\(directory.file("state"))'; cat"
    ).prepared()
    usleep(50_000)
    #expect(InodeType(at: mark) == nil)
    try save(source)
    #expect(InodeType(at: mark) != nil)
    try load(try FileStateTarget(directory.file("out")))
    #expect(try bytes("out") == state)
  }

  /// What is not saved after all has never begun, and is gone.
  @Test func aPreparedCommandEndsWithItsSource() throws {
    let mark = directory.file("mark")
    let command = "echo begun > '\(mark)'"
    do { _ = try CommandStateSource(command).prepared() }
    #expect(InodeType(at: mark) == nil)
    #expect(try Subprocess.run(["pgrep", "-f", mark.string]).text.isEmpty)
  }

  @Test(arguments: [
    ("echo one; echo two >&2; exit 3", "two"), ("exit 1", ""), ("echo $0 >&2\nexit 2", "/bin/sh"),
    ("kill -9 $$", ""), ("if", nil), ("true\nif", nil), (")", nil),
  ])
  func aPreparedCommandFailsAsAnother(_ command: String, _ message: String?) throws {
    let failure = failure(of: CommandStateSource(command))
    #expect(try failure == self.failure(of: CommandStateSource(command).prepared()))
    guard let message, case .device(_, .command(_, let found))? = failure else { return }
    #expect(found == message)
  }

  private func failure(of source: any DeviceStateSource) -> ImageError? {
    #expect(throws: ImageError.self) { try save(source) }
  }

  @Test(arguments: [
    ("echo one; echo two >&2; echo three >&2; exit 3", ChildEnd.exited(status: 3), "two; three"),
    ("exit 1", .exited(status: 1), ""),
    ("kill -9 $$", .killed(signal: 9, dumpedCore: false), ""),
    ("no-such-command-at-all 2>/dev/null", .exited(status: 127), ""),
  ])
  func aCommandThatFailsSaysWhy(_ command: String, _ end: ChildEnd, _ message: String) throws {
    #expect(throws: ImageError.device(identity, .command(end, message: message))) {
      try save(CommandStateSource(command))
    }
    try save(try FileStateSource(directory.file("state")))
    #expect(throws: ImageError.device(identity, .command(end, message: message))) {
      try load(CommandStateTarget("cat > /dev/null; \(command)"))
    }
  }

  /// More words than a pipe holds do not stop it; the last of them are kept.
  @Test func aTalkativeCommandIsListenedTo() throws {
    let talk = "yes 0123456789 | head -c 1000000 >&2; echo end >&2; exit 2"
    #expect {
      try save(CommandStateSource(talk))
    } throws: { error in
      guard case .device(_, .command(_, let message))? = error as? ImageError else { return false }
      return message.hasSuffix("end") && message.utf8.count < 4096
    }
  }

  /// Commands and FIFOs that never come to an end are left at once, with all that they started.
  @Test func whatNeverEndsCanBeCancelled() throws {
    // One for each way, as above.
    let (from, to) = (directory.file("from"), directory.file("to"))
    try Subprocess.succeed(["mkfifo", from.string, to.string])
    let mark = "9\(UInt32.random(in: 100_000...999_999))"
    try save(try FileStateSource(directory.file("state")))
    let works: [(Cancellation) throws -> Void] = [
      { try save(CommandStateSource("sleep \(mark) | cat"), cancellation: $0) },
      { try save(try FileStateSource(from), cancellation: $0) },
      { try load(CommandStateTarget("cat > /dev/null; sleep \(mark)"), cancellation: $0) },
      { try load(CommandStateTarget("sleep \(mark)"), cancellation: $0) },
      { try load(try FileStateTarget(to), cancellation: $0) },
    ]
    for work in works {
      let cancellation = Cancellation()
      let canceller = try PosixThread(name: "cancel") {
        usleep(100_000)
        cancellation.cancel()
      }
      #expect(throws: ImageError.cancelled) { try work(cancellation) }
      canceller.join()
    }
    let left = try Subprocess.run(["pgrep", "-f", "^sleep \(mark)$"])
    #expect(left.text.isEmpty)
  }

  /// A command that reads only a part has not taken its state.
  @Test func aCommandThatReadsOnlyAPartFails() throws {
    var generator = SeededGenerator()
    try File.make(directory.file("state"), generator.bytes(3 << 20))
    try save(try FileStateSource(directory.file("state")))
    #expect {
      try load(CommandStateTarget("head -c 10 > /dev/null"))
    } throws: { error in
      if case .device(identity, .notAllTaken(_, of: 3))? = error as? ImageError {
        true
      } else {
        false
      }
    }
  }

  @Test func aFileThatIsNotThereIsAnErrorBeforeTheSave() throws {
    #expect(throws: ImageError.self) { try FileStateSource(directory.file("none")) }
    #expect(throws: ImageError.self) { try FileStateSource(directory.path) }
  }

  /// A file that grows or shrinks after it was looked at is an error.
  @Test func aFileThatChangesIsAnError() throws {
    let path = directory.file("state")
    let source = try FileStateSource(path)
    try File.make(path, [1, 2, 3])
    #expect(
      throws: ImageError.device(identity, .endedEarly(found: 3, expected: 300_001))
    ) { try save(source) }
    try File.make(path, state + [0])
    #expect(throws: ImageError.device(identity, .tooLong(expected: 300_001))) { try save(source) }
  }
}

/// The way into a directory and back.
@Suite struct DeviceDirectoryTests {
  /// An image that is taken apart and put together again is the same, byte for byte.
  @Test func takenApartAndPutTogetherItIsTheSame() throws {
    var harness = try DeviceHarness()
    var devices = harness.eightDevices()
    devices[2] = TestDevice(
      [
        TestDevice.Buffer(bytes: [1, 2, 3], number: 1, isConfiguration: true),
        TestDevice.Buffer(bytes: [4], number: 0),
      ])
    devices[4] = TestDevice([])
    try harness.save(devices)
    let apart = harness.directory.file("apart")
    let outcome = try DirectoryRestore(
      ImageRestore(try File.open(harness.image, access: .read)), to: apart
    ).run()
    #expect(
      outcome.files.contains("device-dev1.bin") && outcome.files.contains("device-dev1-1.bin"))
    let file = try File.open(apart.appending("device-dev0.bin"), access: .read)
    #expect(
      try file.readBytes(at: 0, count: Int(try file.size())) == devices[0].state.flatMap { $0 })
    let copy = harness.directory.file("copy")
    _ = try ImageSave(SavePlan.ofDirectory(apart)).run(to: copy)
    #expect(try sha256(copy) == sha256(harness.image))
  }

  /// What is wrong with the manifest or a file is told before anything is written.
  @Test func refusesWhatDoesNotFit() throws {
    let harness = try DeviceHarness()
    try harness.save([TestDevice([TestDevice.Buffer(bytes: [1, 2, 3])])])
    let apart = harness.directory.file("apart")
    _ = try DirectoryRestore(
      ImageRestore(try File.open(harness.image, access: .read)), to: apart
    ).run()
    let manifest = try DirectoryManifest(readingFrom: apart)
    for buffers in [[], [[0]], [[0, 3, 0]], [[1 << 61, 3]], [[0, 1 << 30]]] as [[[UInt64]]] {
      var changed = manifest
      changed.devices?[0].buffers = buffers
      try File.make(apart.appending(DirectoryManifest.fileName), changed.encoded())
      #expect {
        try SavePlan.ofDirectory(apart)
      } throws: { error in
        if case .plan(.manifest)? = error as? ImageError { true } else { false }
      }
    }
    try File.make(apart.appending(DirectoryManifest.fileName), manifest.encoded())
    let state = apart.appending("device-dev0.bin")
    try File.make(state, [1, 2])
    #expect(
      throws: ImageError.plan(
        .deviceSize(state, DeviceHarness.identity(0), found: 2, expected: 3))
    ) { try SavePlan.ofDirectory(apart) }
  }

  /// A target of its own for one device; one that the image lacks is an error, and leaves nothing.
  @Test func aDeviceMayGoElsewhere() throws {
    var harness = try DeviceHarness()
    let devices = harness.eightDevices()
    try harness.save(devices)
    let target = TestDevice([])
    var restore = DirectoryRestore(
      ImageRestore(try File.open(harness.image, access: .read)),
      to: harness.directory.file("apart"))
    restore.devices = [DeviceHarness.identity(1): target]
    let outcome = try restore.run()
    #expect(
      !outcome.files.contains("device-dev0-1.bin") && target.loaded.map(\.1) == devices[1].state)
    restore.directory = harness.directory.file("second")
    restore.devices = [DeviceIdentity("none"): target]
    #expect(
      throws: ImageError.plan(
        .unknownDevice(DeviceIdentity("none"), known: (0..<8).map(DeviceHarness.identity)))
    ) { try restore.run() }
    #expect(try names(in: harness.directory) == ["apart", "image"])
  }
}

extension File {
  /// Makes or replaces a file with these bytes.
  static func make(_ path: FilePath, _ bytes: [UInt8]) throws {
    let pending = try PendingFile.create(at: path, directIO: .off)
    try pending.file.write(bytes, at: 0)
    try pending.commit()
  }
}
