/// The states of devices that stand behind the stream: where the area is, and which buffers it has.
///
/// | part | bytes |
/// | --- | --- |
/// | header | 64: an `AreaHeader` of the kind `DEVS` |
/// | buffers | each at a place of its own, aligned |
/// | table | the devices and their buffers, up to the end of the area |
///
/// Readers of the stream stop before it. A form of our own; FORMAT.md describes it.
public struct DeviceArea: Equatable, Sendable {
  /// The header's first byte.
  public var start: FileOffset
  /// The table's first byte.
  public var table: FileOffset
  /// The devices, in the order of the table.
  public var devices: [StoredDevice]

  /// An area of its parts.
  ///
  /// - Precondition: names, limits and places are as a reader of the area asks for.
  package init(start: FileOffset, table: FileOffset, devices: [StoredDevice]) {
    self.start = start
    self.table = table
    self.devices = devices
  }

  /// What buffers' places are aligned to: enough for direct I/O on all known devices.
  public static let alignment: UInt64 = 4096

  /// The first aligned place for a buffer.
  public var firstPlace: FileOffset {
    let header = start + ByteCount(AreaHeader.byteCount)
    return header.alignedUp(to: Self.alignment) ?? header
  }

  /// Bytes of state in all devices.
  public var byteCount: ByteCount { devices.reduce(.zero) { $0 + $1.byteCount } }
  /// Buffers in all devices.
  public var bufferCount: Int { devices.reduce(0) { $0 + $1.buffers.count } }

  /// The bytes of the table.
  public var tableByteCount: ByteCount {
    devices.reduce(ByteCount(Self.countsByteCount)) { sum, device in
      sum
        + ByteCount(
          1 + device.identity.idstr.utf8.count + StoredDevice.fixedByteCount
            + device.buffers.count * StoredBuffer.byteCount)
    }
  }

  /// The first byte behind the area.
  public var end: FileOffset { table + tableByteCount }

  /// The only version.
  package static let version: UInt32 = 1
  /// Bytes of the table before the first device.
  static let countsByteCount = 4 + 4
  /// The most bytes that a table may have: what the limits on what is in it allow.
  static let mostTableBytes = ByteCount(
    countsByteCount
      + ImageLimits.devices * (1 + ImageLimits.nameBytes + StoredDevice.fixedByteCount)
      + ImageLimits.deviceBuffers * StoredBuffer.byteCount)
}

/// The state of one device: buffers in the order of their numbers, which count from 0.
public struct StoredDevice: Equatable, Sendable {
  /// Whose it is.
  public var identity: DeviceIdentity
  /// The buffers; at least one. The last has the flag `last`.
  public var buffers: [StoredBuffer]

  /// A state of its parts.
  package init(_ identity: DeviceIdentity, buffers: [StoredBuffer]) {
    self.identity = identity
    self.buffers = buffers
  }

  /// Bytes of state.
  public var byteCount: ByteCount { buffers.reduce(.zero) { $0 + $1.byteCount } }

  /// Bytes of a device in the table, without its name and its buffers.
  static let fixedByteCount = 4 + 4 + 8
}

/// A buffer: bytes of a device's state that belong together.
public struct StoredBuffer: Equatable, Sendable {
  /// Its first byte.
  public var offset: FileOffset
  /// Its bytes; may be none.
  public var byteCount: ByteCount
  /// Whether it holds the device's configuration rather than its data.
  public var isConfiguration: Bool
  /// The sum of its bytes.
  public var sum: ContentSum

  /// A buffer of its parts.
  package init(
    offset: FileOffset, byteCount: ByteCount, isConfiguration: Bool = false, sum: ContentSum
  ) {
    self.offset = offset
    self.byteCount = byteCount
    self.isConfiguration = isConfiguration
    self.sum = sum
  }

  /// The bytes of a buffer in the table.
  package static let byteCount = 4 + 4 + 8 + 8 + ContentSum.byteCount
}

/// What the table says of a buffer besides its place.
struct StoredBufferFlags: OptionSet {
  let rawValue: UInt32

  /// No buffer of the device follows.
  static let last = StoredBufferFlags(rawValue: 1)
  /// The device's configuration.
  static let configuration = StoredBufferFlags(rawValue: 2)

  /// All that are known.
  static let known: StoredBufferFlags = [.last, .configuration]
}
