/// The first bytes of a device area, 64 of them, big-endian.
///
/// | offset | bytes | |
/// | --- | --- | --- |
/// | 0 | 8 | magic `MRAMDEVS` |
/// | 8 | 4 | version, 1 |
/// | 12 | 4 | CRC-32C of this header with zeros here, and of the table |
/// | 16 | 8 | this header's own offset |
/// | 24 | 8 | offset of the table |
/// | 32 | 8 | bytes in the table |
/// | 40 | 8 | offset of the first byte behind the area |
/// | 48 | 4 | devices |
/// | 52 | 4 | buffers |
/// | 56 | 8 | zero |
package struct DeviceAreaHeader: Equatable, Sendable {
  /// The header's own offset.
  package var start: FileOffset
  /// The bytes of the table.
  package var table: Range<FileOffset>
  /// The first byte behind the area.
  package var end: FileOffset
  /// Devices in the table.
  package var deviceCount: UInt32
  /// Buffers in the table.
  package var bufferCount: UInt32
  /// The sum of header and table.
  var checksum: UInt32 = 0

  /// The characters with which an area begins.
  package static let magic: [UInt8] = Array("MRAMDEVS".utf8)
  /// The only version.
  package static let version: UInt32 = 1
  /// Bytes in a header.
  package static let byteCount = 64

  /// The header of `area`, without its sum.
  init(of area: DeviceArea) {
    start = area.start
    table = area.table..<(area.table + area.tableByteCount)
    end = area.end
    deviceCount = UInt32(area.devices.count)
    bufferCount = UInt32(area.bufferCount)
  }

  /// Whether an area begins here, or the first part of one that has been cut off.
  package static func isPresent(at input: borrowing ByteInput) -> Bool {
    guard input.remaining > 0 else { return false }
    return magic.indices.allSatisfy { input.peek($0) == nil || input.peek($0) == magic[$0] }
  }

  /// Reads a header, in a file that ends at `fileEnd`.
  ///
  /// - Throws: `truncated`; `deviceArea`: another magic or version, places that cannot be; `overLimit`.
  package init(parsing input: inout ByteInput, fileEnd: FileOffset) throws(FormatError) {
    let place = input.offset
    func fail(_ problem: DeviceAreaProblem, _ offset: Int) -> FormatError {
      FormatError(.deviceArea(problem), at: place + ByteCount(offset), in: .deviceArea)
    }
    let context = FormatError.Context.deviceArea
    try input.require(Self.byteCount, in: context)
    let magic = try input.readBytes(8, in: context)
    guard magic == Self.magic else { throw fail(.magic(found: magic), 0) }
    let version = try input.readBigEndian(UInt32.self, in: context)
    guard version == Self.version else { throw fail(.version(found: version), 8) }
    checksum = try input.readBigEndian(in: context)
    start = FileOffset(try input.readBigEndian(UInt64.self, in: context))
    guard start == place else { throw fail(.start(found: start, expected: place), 16) }
    let tableStart = FileOffset(try input.readBigEndian(UInt64.self, in: context))
    let tableBytes = ByteCount(try input.readBigEndian(UInt64.self, in: context))
    end = FileOffset(try input.readBigEndian(UInt64.self, in: context))
    deviceCount = try input.readBigEndian(in: context)
    bufferCount = try input.readBigEndian(in: context)
    let reserved = try input.readBigEndian(UInt64.self, in: context)

    guard end <= fileEnd else { throw fail(.end(found: end, fileSize: fileEnd), 40) }
    let headerEnd = place + ByteCount(Self.byteCount)
    guard tableStart >= headerEnd else {
      throw fail(.tableStart(found: tableStart, headerEnd: headerEnd), 24)
    }
    let trailer = ByteCount(DeviceAreaTrailer.byteCount)
    guard let tableEnd = tableStart.adding(tableBytes), tableEnd.adding(trailer) == end else {
      throw fail(.tableBytes(found: tableBytes), 32)
    }
    table = tableStart..<tableEnd
    guard (1...UInt32(ImageLimits.devices)).contains(deviceCount) else {
      throw deviceCount == 0
        ? fail(.noDevices, 48)
        : FormatError(
          .overLimit(.devices, found: UInt64(deviceCount), limit: UInt64(ImageLimits.devices)),
          at: place + 48, in: context)
    }
    guard bufferCount <= ImageLimits.deviceBuffers else {
      throw FormatError(
        .overLimit(
          .deviceBuffers, found: UInt64(bufferCount), limit: UInt64(ImageLimits.deviceBuffers)),
        at: place + 52, in: context)
    }
    guard reserved == 0 else { throw fail(.reserved(found: reserved), 56) }
    // So the table is never longer than the limits on what is in it allow, and its memory is bounded.
    let most =
      Int(deviceCount) * (1 + ImageLimits.nameBytes + StoredDevice.fixedByteCount)
      + Int(bufferCount) * StoredBuffer.byteCount
    guard tableBytes <= ByteCount(most) else { throw fail(.tableBytes(found: tableBytes), 32) }
  }

  /// Writes the header.
  func encode(into output: inout ByteOutput) {
    output.write(Self.magic)
    output.writeBigEndian(Self.version)
    output.writeBigEndian(checksum)
    output.writeBigEndian(start.rawValue)
    output.writeBigEndian(table.lowerBound.rawValue)
    output.writeBigEndian(table.byteCount.rawValue)
    output.writeBigEndian(end.rawValue)
    output.writeBigEndian(deviceCount)
    output.writeBigEndian(bufferCount)
    output.writeBigEndian(UInt64(0))
  }

  /// The sum of this header and of `table`.
  func computedChecksum(table: [UInt8]) -> UInt32 {
    var header = self
    header.checksum = 0
    var output = ByteOutput()
    header.encode(into: &output)
    var sum = CRC32C()
    sum.add(output.bytes)
    sum.add(table)
    return sum.value
  }
}
