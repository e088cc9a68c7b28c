public import MappedRAMFormat

/// A device whose state is to be saved.
public struct DeviceSource: Sendable {
  /// Whose state it is.
  public var identity: DeviceIdentity
  /// Where it comes from.
  public var source: any DeviceStateSource
  /// Where in the image it goes.
  public var placement = Placement.area
  /// Where the buffers were in the image that is built again; `nil` for wherever there is room.
  var fixedPlaces: FixedPlaces?

  /// Where in an image a state goes.
  public enum Placement: Equatable, Sendable {
    /// Behind the stream, where QEMU does not look.
    case area
    /// Into the stream, as a section of type FULL and this version, in place of one that is there:
    /// for a device that QEMU itself has and takes. The source must know its size; its buffers come
    /// in order.
    case section(version: UInt32)
  }

  var isSection: Bool { placement != .area }

  /// Places of buffers, from the area's first aligned one.
  struct FixedPlaces: Equatable, Sendable {
    /// Where each begins.
    var offsets: [UInt64]
    /// Behind the last.
    var end: UInt64
    /// Bytes of the longest buffer.
    var longest: Int
  }

  /// A device of its parts.
  public init(
    _ identity: DeviceIdentity, from source: any DeviceStateSource,
    placement: Placement = .area
  ) {
    self.identity = identity
    self.source = source
    self.placement = placement
  }

  /// Lets the source do what can be done before its device stops.
  ///
  /// - Throws: `ImageError.device`.
  package mutating func prepare() throws(ImageError) {
    do throws(DeviceFailure) {
      source = try source.prepared()
    } catch {
      throw .device(identity, error)
    }
  }
}

/// How many bytes of devices' states may be in memory.
public struct DeviceLimits: Equatable, Sendable {
  /// Bytes of a buffer that is being saved: a multiple of 4 KiB up to 16 MiB.
  public let bufferBytes: Int
  /// Buffers that a device has at most, being filled, on their way, or being taken.
  public let buffersPerDevice: Int
  /// Buffers of all devices; as many as there are devices, if that is more.
  public let buffers: Int

  /// Limits of these values. By default 64 MiB in all, and 8 of that for one device.
  ///
  /// - Precondition: each is in its range, and at least 1.
  public init(bufferBytes: Int = 1 << 20, buffersPerDevice: Int = 8, buffers: Int = 64) {
    precondition(
      bufferBytes > 0 && bufferBytes % 4096 == 0 && bufferBytes <= ImageLimits.deviceBufferBytes,
      "a multiple of 4 KiB up to 16 MiB")
    precondition(buffersPerDevice > 0 && buffers > 0, "a buffer at least")
    self.bufferBytes = bufferBytes
    self.buffersPerDevice = buffersPerDevice
    self.buffers = buffers
  }

  /// What most devices do best with.
  public static let standard = DeviceLimits()
}

/// What became of the state of one device.
public struct DeviceReport: Equatable, Sendable {
  /// Whose state it is.
  public var identity: DeviceIdentity
  /// Bytes of state.
  public var byteCount: UInt64
  /// Buffers that they came in.
  public var buffers: Int
  /// The most buffers that were in memory at once.
  public var peakBuffers: Int
}

extension BufferPool {
  /// What became of `devices`, whose lanes have these numbers.
  func reports(of devices: [StoredDevice]) -> [DeviceReport] {
    zip(devices, peaks).map { device, peak in
      DeviceReport(
        identity: device.identity, byteCount: device.byteCount.rawValue,
        buffers: device.buffers.count, peakBuffers: peak)
    }
  }
}
