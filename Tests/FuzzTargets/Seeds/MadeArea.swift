import MappedRAMFormat

/// Small areas of devices' states.
enum MadeArea {
  static var seeds: [FuzzSeed] {
    [
      FuzzSeed("two", bytes(at: .zero)),
      FuzzSeed(
        "empty",
        encoded(
          area(
            at: .zero,
            [
              StoredDevice(
                DeviceIdentity("x"),
                buffers: [
                  StoredBuffer(offset: 64, byteCount: 0)
                ])
            ]))),
    ]
  }

  /// The area of two devices, to stand at `start`.
  static func bytes(at start: FileOffset) -> [UInt8] {
    let first = start + ByteCount(DeviceAreaHeader.byteCount)
    return encoded(
      area(
        at: start,
        [
          StoredDevice(
            DeviceIdentity("gpu", instanceID: 1),
            buffers: [
              StoredBuffer(offset: first + 3, byteCount: 5, isConfiguration: true),
              StoredBuffer(offset: first + 16, byteCount: 8),
              StoredBuffer(offset: first + 24, byteCount: 0),
            ]),
          StoredDevice(
            DeviceIdentity("net"), buffers: [StoredBuffer(offset: first + 8, byteCount: 8)]),
        ]))
  }

  private static func area(at start: FileOffset, _ devices: [StoredDevice]) -> DeviceArea {
    DeviceArea(start: start, table: start + ByteCount(100), devices: devices)
  }

  private static func encoded(_ area: DeviceArea) -> [UInt8] {
    let (header, table) = area.encoded()
    let buffers = (area.table - header.offset).rawValue
    return header.bytes + (0..<buffers).map { UInt8(truncatingIfNeeded: $0) } + table.bytes
  }
}
