import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Live saves that end badly: at any moment, nothing is left.
@Suite struct LiveSaveFailureTests {
  let directory: TemporaryDirectory
  let path: FilePath
  let guest: TestGuest
  let plan: SavePlan

  static let options = ChannelOptions(channels: 2, queueDepth: 3, requestBytes: 64 << 10)

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.file("image")
    var generator = SeededGenerator()
    guest = try TestGuest(pages: [640, 3], zeroFraction: 0, using: &generator)
    plan = try guest.plan()
  }

  func change() {
    for page in stride(from: 0, to: 640, by: 2) {
      guest.blocks[0].pages.put([0xA5, 0x5A], at: page * 4096)
    }
  }

  func expectNothingLeft() throws {
    #expect(try Subprocess.succeed(["ls", "-A", directory.path.string]).text == "")
  }

  /// The first write of round 2, one in its middle, and one of the last round.
  @Test(arguments: [0, 20, 60])
  func aFailedWriteInALaterRoundIsReported(_ number: Int) throws {
    let count = Monitor(-1)
    let faults = Faults { _, isRead, _ in
      count.withLock { left in
        defer { if left >= 0 { left -= 1 } }
        return left == 0 && !isRead ? .error(.ioError) : .none
      }
    }
    #expect {
      var save = try ImageSave(plan, options: Self.options, factory: FaultyFactory(faults: faults))
        .begin(to: path, live: LiveSaveTests.rounds(1))
      try save.runRounds()
      change()
      count.withLock { $0 = number }
      try save.runRounds()
      change()
      guest.blocks[0].pages.put([1], at: 0)
      for page in 0..<640 {
        guest.blocks[0].pages.put([UInt8(page & 127) + 1], at: page * 4096 + 9)
      }
      _ = try save.writePages(plan).finish()
    } throws: { error in
      guard case ImageError.system(let error) = error else { return false }
      return error.errno == .ioError
    }
    try expectNothingLeft()
  }

  @Test func aStopInALaterRoundLeavesNothing() throws {
    let cancellation = Cancellation()
    #expect(throws: ImageError.cancelled) {
      var save = try ImageSave(plan, options: Self.options).begin(
        to: path, live: LiveSaveTests.rounds(1), cancellation: cancellation)
      try save.runRounds()
      change()
      cancellation.cancel()
      try save.runRounds()
    }
    try expectNothingLeft()
  }

  /// A limit that would take minutes does not hold up a stop.
  @Test func aStopDoesNotWaitForTheLimit() throws {
    let cancellation = Cancellation()
    let live = LiveOptions(maximumDowntime: .zero, maximumRounds: 1, bytesPerSecond: 4096)
    let thread = try PosixThread<Void, Never>(name: "stop") { [progress = TransferProgress()] in
      _ = progress
      cancellation.cancel()
    }
    #expect(throws: ImageError.cancelled) {
      var save = try ImageSave(plan, options: Self.options).begin(
        to: path, live: live, cancellation: cancellation)
      try save.runRounds()
    }
    thread.join()
    try expectNothingLeft()
  }

  /// Nor does it hold up a failure: neither that of another channel, nor that of a request of the one that it holds up.
  @Test(arguments: [1, 2, 4], [1, 2]) func aFailureDoesNotWaitForTheLimit(
    _ channels: Int, _ number: Int
  ) throws {
    let live = LiveOptions(maximumDowntime: .zero, maximumRounds: 1, bytesPerSecond: 1024)
    let writes = Monitor(0)
    let faults = Faults { _, isRead, _ in
      let count = writes.withLock { count in
        if !isRead { count += 1 }
        return count
      }
      return !isRead && count == number ? .error(.noSpace) : .none
    }
    let start = ContinuousClock.now
    #expect {
      var save = try ImageSave(
        plan, options: ChannelOptions(channels: channels, queueDepth: 3, requestBytes: 64 << 10),
        factory: FaultyFactory(faults: faults)
      ).begin(to: path, live: live)
      try save.runRounds()
    } throws: { error in
      guard case ImageError.system(let error) = error else { return false }
      return error.errno == .noSpace
    }
    // What is owed for the first extent alone is four minutes.
    #expect(ContinuousClock.now - start < .seconds(30))
    try expectNothingLeft()
  }

  /// After it was begun, after its rounds, after its pages were written.
  @Test(arguments: 0..<3) func aSaveThatIsDroppedLeavesNothing(_ steps: Int) throws {
    do {
      var save = try ImageSave(plan).begin(to: path, live: LiveSaveTests.rounds(1))
      if steps > 0 { try save.runRounds() }
      if steps > 1 { _ = try save.writePages(plan) }
    }
    try expectNothingLeft()
  }

  @Test func oneThatDoesNotConvergeAndIsToFailFails() throws {
    let live = LiveOptions(maximumDowntime: .zero, maximumRounds: 1, ifNotConverging: .fail)
    #expect {
      var save = try ImageSave(plan).begin(to: path, live: live)
      try save.runRounds()
    } throws: { error in
      guard
        case ImageError.save(.doesNotConverge(rounds: 1, let expected, wanted: .zero, nil)) = error
      else {
        return false
      }
      return expected > .zero
    }
    try expectNothingLeft()
  }

  @Test func oneThatDoesNotConvergeAndIsToPauseSaysSo() throws {
    var save = try ImageSave(plan).begin(to: path, live: LiveSaveTests.rounds(1))
    try save.runRounds()
    let one = try save.writePages(plan).finish().live
    #expect(one?.hasConverged == false)
    var other = try ImageSave(plan).begin(
      to: path, live: LiveOptions(maximumDowntime: .seconds(3600), ifNotConverging: .fail))
    try other.runRounds()
    let report = try other.writePages(plan).finish().live
    #expect(report?.hasConverged == true && report?.rounds.count == 1)
  }

  /// A block that has grown has other slots, and so have all behind it.
  @Test func aPlanWithOtherSlotsIsRefused() throws {
    var generator = SeededGenerator()
    let other = try TestGuest(pages: [641, 3], using: &generator)
    #expect(throws: ImageError.save(.slotsDiffer(path))) {
      var save = try ImageSave(plan).begin(to: path, live: LiveSaveTests.rounds(1))
      try save.runRounds()
      _ = try save.writePages(try other.plan()).finish()
    }
    try expectNothingLeft()
  }

  /// In place, there is no image from the first moment to the last.
  @Test func inPlaceThereIsNoImageMeanwhile() throws {
    _ = try ImageSave(plan).run(to: path)
    func isImage() throws -> Bool {
      try Image(reading: File.open(path, access: .read)).problems.isEmpty
    }
    #expect(try isImage())
    do {
      var save = try ImageSave(plan).begin(to: path, inPlace: true, live: LiveSaveTests.rounds(1))
      #expect(try !isImage())
      try save.runRounds()
      change()
      #expect(try !isImage())
      _ = try save.writePages(plan)
    }
    #expect(try !isImage())
    var save = try ImageSave(plan).begin(to: path, inPlace: true, live: LiveSaveTests.rounds(1))
    try save.runRounds()
    change()
    _ = try save.writePages(plan).finish()
    #expect(try isImage())
    #expect(try restoreToMemory(path) == guest.blocks.indices.map(guest.contents))
  }
}
