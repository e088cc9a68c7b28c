import MappedRAM
import MappedRAMFormat

/// Small areas of devices' states.
enum MadeArea {
  static var seeds: [FuzzSeed] {
    [
      FuzzSeed("two", encoded(area(at: .zero))),
      FuzzSeed(
        "empty",
        encoded(
          area(
            at: .zero,
            [
              StoredDevice(
                DeviceIdentity("x"), buffers: [buffer(at: 64, byteCount: 0, from: .zero)])
            ]
          ))),
    ]
  }

  /// The areas that may stand behind the stream that ends `image`, and what closes them.
  static func bytes(behind image: [UInt8]) -> [UInt8] {
    let start = FileOffset(UInt64(image.count))
    let area = area(at: start)
    let text = DeviceDescription.locate(inLast: image.span, endingAt: start).map {
      Array(image[(Int($0.rawValue) + DeviceDescription.headByteCount)...])
    }
    // One that nobody knows, with some bytes in it.
    let end = area.end + ByteCount(AreaHeader.byteCount + 7)
    let unknown = AreaHeader(
      AreaKind(Array("XYZ0".utf8)) ?? .devices, version: 3, isNeeded: false, range: area.end..<end,
      table: ByteOutput(at: end))
    var closing = ByteOutput(at: end)
    AreaClosing(firstArea: start, text: text).encode(into: &closing)
    return encoded(area) + unknown.encoded.bytes + Array("unknown".utf8) + closing.bytes
  }

  /// The area of two devices, to stand at `start`.
  private static func area(at start: FileOffset) -> DeviceArea {
    let first = start + ByteCount(AreaHeader.byteCount)
    return area(
      at: start,
      [
        StoredDevice(
          DeviceIdentity("gpu", instanceID: 1),
          buffers: [
            buffer(at: first + 3, byteCount: 5, isConfiguration: true, from: start),
            buffer(at: first + 16, byteCount: 8, from: start),
            buffer(at: first + 24, byteCount: 0, from: start),
          ]),
        StoredDevice(
          DeviceIdentity("net"), buffers: [buffer(at: first + 8, byteCount: 8, from: start)]),
      ])
  }

  private static func area(at start: FileOffset, _ devices: [StoredDevice]) -> DeviceArea {
    DeviceArea(start: start, table: start + ByteCount(100), devices: devices)
  }

  private static func buffer(
    at offset: FileOffset, byteCount: Int, isConfiguration: Bool = false, from start: FileOffset
  ) -> StoredBuffer {
    let place = Int((offset - start).rawValue)
    return StoredBuffer(
      offset: offset, byteCount: ByteCount(byteCount), isConfiguration: isConfiguration,
      sum: ContentSum(of: pattern(place..<(place + byteCount))))
  }

  private static func pattern(_ places: Range<Int>) -> [UInt8] {
    places.map { UInt8(truncatingIfNeeded: $0) }
  }

  private static func encoded(_ area: DeviceArea) -> [UInt8] {
    let (header, table) = area.encoded()
    let end = Int((area.table - area.start).rawValue)
    return header.bytes + pattern(AreaHeader.byteCount..<end) + table.bytes
  }
}
