import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// What goes wrong with one device ends all of a save or restore, with that device's name, and leaves nothing.
@Suite struct DeviceFailureTests {
  static let failure = DeviceFailure.system(
    SystemCallError(call: .read, errno: .ioError, subject: .file("/dev/gpu")))

  @Test(arguments: [0, 1, 19, 20])
  func anErrorWhileSavingNamesTheDevice(_ place: Int) throws {
    var harness = try DeviceHarness()
    let devices = harness.eightDevices(fault: .failure(Self.failure, at: place))
    #expect(throws: ImageError.device(DeviceHarness.identity(3), Self.failure)) {
      try harness.save(devices)
    }
    #expect(try names(in: harness.directory).isEmpty)
  }

  @Test(arguments: [0, 1, 19, 20])
  func anErrorWhileLoadingNamesTheDevice(_ place: Int) throws {
    var harness = try DeviceHarness()
    let devices = harness.eightDevices()
    try harness.save(devices)
    let targets = (0..<8).map { index in
      TestDevice([], fault: index == 5 ? .failure(Self.failure, at: place) : .none)
    }
    #expect(throws: ImageError.device(DeviceHarness.identity(5), Self.failure)) {
      try harness.load(targets)
    }
  }

  /// Others wait for ever, but for the stop that the failure brings.
  @Test func aFailureStopsThoseThatNeverEnd() throws {
    var harness = try DeviceHarness()
    var devices = harness.eightDevices(fault: .neverEnds(at: 2))
    devices[6] = TestDevice([], fault: .failure(Self.failure, at: 0))
    #expect(throws: ImageError.device(DeviceHarness.identity(6), Self.failure)) {
      try harness.save(devices)
    }
  }

  @Test(arguments: [0, 7, 20])
  func cancellationStopsAnEndlessSave(_ place: Int) throws {
    var harness = try DeviceHarness()
    let cancellation = Cancellation()
    var devices = harness.eightDevices(fault: .neverEnds(at: place))
    devices[0] = TestDevice(
      devices[0].buffers, onBuffer: { if $0 == 20 { cancellation.cancel() } })
    #expect(throws: ImageError.cancelled) {
      try harness.save(devices, cancellation: cancellation)
    }
    #expect(try names(in: harness.directory).isEmpty)
  }

  @Test(arguments: [0, 7, 20])
  func cancellationStopsAnEndlessLoad(_ place: Int) throws {
    var harness = try DeviceHarness()
    let devices = harness.eightDevices()
    try harness.save(devices)
    let cancellation = Cancellation()
    let targets = (0..<8).map { index in
      index == 0
        ? TestDevice([], onBuffer: { if $0 == 20 { cancellation.cancel() } })
        : TestDevice([], fault: index == 3 ? .neverEnds(at: place) : .none)
    }
    #expect(throws: ImageError.cancelled) {
      try harness.load(targets, cancellation: cancellation)
    }
  }

  /// The disk fails: the error is the file's, and devices that wait for buffers are let go.
  @Test func anErrorOfTheFileStopsAllDevices() throws {
    var harness = try DeviceHarness()
    let devices = harness.eightDevices(fault: .neverEnds(at: 5))
    let faults = Faults { count, _, _ in count > 30 ? .error(.ioError) : .none }
    #expect {
      try harness.save(devices, factory: FaultyFactory(faults: faults))
    } throws: { error in
      if case .system(let error)? = error as? ImageError { error.errno == .ioError } else { false }
    }
    try harness.save(harness.eightDevices())
    #expect {
      try harness.load(
        (0..<8).map { _ in TestDevice([]) }, factory: FaultyFactory(faults: faults))
    } throws: { error in
      if case .system(let error)? = error as? ImageError { error.errno == .ioError } else { false }
    }
  }

  static let numbers: [([UInt32], SequenceProblem)] = [
    ([0, 1, 1], .numberTwice(1)),
    ([0, 0], .numberTwice(0)),
    ([1], .numberMissing(0)),
    ([0, 2, 3], .numberMissing(1)),
    ([0, 1 << 20], .numberOutOfRange(1 << 20, limit: 1 << 20)),
    ([.max], .numberOutOfRange(.max, limit: 1 << 20)),
  ]

  @Test(arguments: numbers)
  func wrongNumbersAreErrors(_ numbers: [UInt32], _ problem: SequenceProblem) throws {
    let harness = try DeviceHarness()
    let device = TestDevice(numbers.map { TestDevice.Buffer(bytes: [1], number: $0) })
    #expect(throws: ImageError.device(DeviceHarness.identity(0), .sequence(problem))) {
      try harness.save([device])
    }
  }

  /// A source that said how many bytes would come must give just these.
  @Test func theAnnouncedSizeIsHeld() throws {
    let harness = try DeviceHarness()
    let buffers = (0..<3).map { _ in TestDevice.Buffer(bytes: [1, 2]) }
    #expect(throws: ImageError.device(DeviceHarness.identity(0), .tooLong(expected: 5))) {
      try harness.save([TestDevice(buffers, announces: 5)])
    }
    #expect(
      throws: ImageError.device(DeviceHarness.identity(0), .endedEarly(found: 6, expected: 7))
    ) {
      try harness.save([TestDevice(buffers, announces: 7)])
    }
    try harness.save([TestDevice(buffers, announces: 6)])
  }

  @Test func aDeviceThatDoesNotTakeAllFails() throws {
    var harness = try DeviceHarness()
    try harness.save(harness.eightDevices())
    let targets = (0..<8).map { index in
      TestDevice([], fault: index == 2 ? .leaves(at: 4) : .none)
    }
    #expect(
      throws: ImageError.device(DeviceHarness.identity(2), .notAllTaken(buffers: 4, of: 20))
    ) {
      try harness.load(targets)
    }
  }

  /// The image is cut while it is being read: a short read.
  @Test func aShortReadIsAnError() throws {
    var harness = try DeviceHarness()
    try harness.save(harness.eightDevices())
    let file = try File.open(harness.image, access: .readWrite)
    let area = try #require(try Image(reading: file).deviceArea)
    let targets = (0..<8).map { index in
      TestDevice(
        [],
        onBuffer: { if index == 0, $0 == 0 { try? file.truncate(to: area.start.rawValue + 64) } })
    }
    #expect {
      try harness.load(targets)
    } throws: { error in
      if case .endedEarly? = error as? ImageError { true } else { false }
    }
  }
}
