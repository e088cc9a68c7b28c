import LinuxIO
import MappedRAMFormat
import Synchronization
import SystemPackage
import TestSupport

@testable import MappedRAM

/// A made-up device: its state, and what goes wrong with it.
final class TestDevice: DeviceStateSource, DeviceStateTarget {
  /// The buffers that it yields: bytes and numbers.
  struct Buffer: Sendable {
    var bytes: [UInt8]
    var number: UInt32?
    var isConfiguration = false
  }

  /// What goes wrong, before buffer number `at`.
  enum Fault: Sendable {
    case none
    case failure(DeviceFailure, at: Int)
    /// It waits until it is stopped.
    case neverEnds(at: Int)
    /// It returns early.
    case leaves(at: Int)
  }

  let buffers: [Buffer]
  let byteCount: UInt64?
  let loadsLast: Bool
  let fault: Fault
  /// Called before each buffer.
  let onBuffer: @Sendable (Int) -> Void
  private let taken = Monitor<[(DeviceBuffer, [UInt8])]>([])

  init(
    _ buffers: [Buffer], announces byteCount: UInt64? = nil, loadsLast: Bool = false,
    fault: Fault = .none, onBuffer: @escaping @Sendable (Int) -> Void = { _ in }
  ) {
    self.buffers = buffers
    self.byteCount = byteCount
    self.loadsLast = loadsLast
    self.fault = fault
    self.onBuffer = onBuffer
  }

  /// A device with buffers of these sizes, of random bytes.
  convenience init(
    sizes: [Int], using generator: inout SeededGenerator, fault: Fault = .none
  ) {
    self.init(sizes.map { Buffer(bytes: generator.bytes($0)) }, fault: fault)
  }

  /// All of its state.
  var state: [[UInt8]] { buffers.map(\.bytes) }
  /// What it was handed, in the order in which that came.
  var loaded: [(DeviceBuffer, [UInt8])] { taken.withLock { $0 } }

  private func act(_ index: Int, _ stop: StopSignal) throws(DeviceFailure) -> Bool {
    onBuffer(index)
    switch fault {
    case .failure(let failure, at: index): throw failure
    case .leaves(at: index): return false
    case .neverEnds(at: index):
      do throws(SystemCallError) {
        while try stop.wait(for: []) != nil {}
      } catch {
        throw .system(error)
      }
      throw .stopped
    default: return true
    }
  }

  func save(to sink: DeviceStateSink) throws(DeviceFailure) {
    for (index, buffer) in buffers.enumerated() {
      guard try act(index, sink.stop) else { return }
      _ = try unsafe sink.put(number: buffer.number, isConfiguration: buffer.isConfiguration) {
        memory in
        unsafe memory.copyBytes(from: buffer.bytes)
        return buffer.bytes.count
      }
    }
    _ = try act(buffers.count, sink.stop)
  }

  func load(from feed: DeviceStateFeed) throws(DeviceFailure) {
    var index = 0
    while true {
      guard try act(index, feed.stop) else { return }
      let hasMore = try unsafe feed.next { (buffer, bytes) in
        taken.withLock { unsafe $0.append((buffer, Array(bytes))) }
      }
      if !hasMore { return }
      index += 1
    }
  }
}

extension DeviceLimits {
  /// Small ones.
  static let small = DeviceLimits(bufferBytes: 8192, buffersPerDevice: 3, buffers: 8)
}

/// A small guest and the devices beside it.
struct DeviceHarness {
  let directory: TemporaryDirectory
  let guest: TestGuest
  var generator = SeededGenerator()
  var limits = DeviceLimits.small

  init() throws {
    directory = try TemporaryDirectory()
    guest = try TestGuest(pages: [300, 40], using: &generator)
  }

  var image: FilePath { directory.file("image") }

  static func identity(_ index: Int) -> DeviceIdentity {
    DeviceIdentity("dev\(index / 2)", instanceID: UInt32(index % 2))
  }

  func plan(_ devices: [TestDevice]) throws -> SavePlan {
    var plan = try guest.plan().with(
      devices: devices.enumerated().map { DeviceSource(Self.identity($0), from: $1) })
    plan.deviceLimits = limits
    return plan
  }

  /// Eight devices with buffers of many sizes.
  mutating func eightDevices(fault: TestDevice.Fault = .none, of faulty: Int = 3) -> [TestDevice] {
    (0..<8).map { index in
      let sizes = (0..<20).map { _ in Int.random(in: 0...8192, using: &generator) }
      return TestDevice(
        sizes: sizes, using: &generator, fault: index == faulty ? fault : .none)
    }
  }

  @discardableResult
  func save(
    _ devices: [TestDevice], cancellation: Cancellation = Cancellation(),
    factory: (any ChannelIOFactory)? = nil, inPlace: Bool = false
  ) throws -> TransferReport {
    var save = ImageSave(
      try plan(devices),
      options: ChannelOptions(channels: 2, queueDepth: 4, requestBytes: 64 << 10))
    save.factory = factory
    return try save.run(to: image, inPlace: inPlace, cancellation: cancellation)
  }

  /// Loads the image's devices into `devices`, and RAM into memory.
  @discardableResult
  func load(
    _ devices: [TestDevice], cancellation: Cancellation = Cancellation(),
    factory: (any ChannelIOFactory)? = nil
  ) throws -> ImageRestore.Outcome {
    var restore = ImageRestore(try File.open(image, access: .read))
    restore.factory = factory
    restore.deviceLimits = limits
    let targets = Dictionary(
      uniqueKeysWithValues: devices.enumerated().map { (Self.identity($0), $1) })
    return try restore.run(
      cancellation: cancellation,
      device: { (device) throws(ImageError) in targets[device.identity] },
      target: { (block) throws(ImageError) in
        try calling { () throws(SystemCallError) in
          try MemoryPages(byteCount: Int(block.usedLength.rawValue))
        }
      })
  }
}
