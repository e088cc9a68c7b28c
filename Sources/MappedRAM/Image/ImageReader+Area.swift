import LinuxIO
import MappedRAMFormat

extension ImageReader {
  /// Looks for the area of devices' states at the end of the file: with it, the end of the stream is known.
  ///
  /// From then on the stream is read as though the file ended with it.
  ///
  /// - Returns: what is wrong with the area.
  mutating func locateArea() throws(ImageError) -> FormatError? {
    let count = ByteCount(DeviceAreaTrailer.byteCount)
    guard cursor.window.file.kind == .regular, (cursor.window.end - .zero) >= count else {
      return nil
    }
    let place = FileOffset(cursor.window.end.rawValue - count.rawValue)
    let trailer = try cursor.window.parse(at: place, atMost: DeviceAreaTrailer.byteCount) { input in
      DeviceAreaTrailer(parsing: &input)
    }.value
    guard let trailer else { return nil }
    do throws(ImageError) {
      let found = try parseArea(at: trailer.header)
      guard found.end == cursor.window.end else {
        throw cursor.window.failure(
          .deviceArea(.end(found: found.end, fileSize: cursor.window.end)), at: found.start,
          in: .deviceArea)
      }
      area = found
      cursor.window.cut(at: found.start)
      return nil
    } catch {
      guard case .format(let problem, _) = error else { throw error }
      return problem
    }
  }

  /// Reads the area that follows the stream, which ends here, or checks that the one that was found does.
  mutating func readArea() throws(ImageError) {
    if let area {
      guard area.start == position else {
        throw cursor.window.failure(
          .deviceArea(.streamEnd(found: position, expected: area.start)), at: position,
          in: .deviceArea)
      }
      return
    }
    guard try cursor.hasArea(at: position) else { return }
    let found = try parseArea(at: position)
    area = found
    if found.end < cursor.window.end, cursor.window.file.kind == .regular {
      cursor.remarks.append(.bytesAfterEnd(cursor.window.end - found.end))
    }
  }

  private mutating func parseArea(at offset: FileOffset) throws(ImageError) -> DeviceArea {
    let fileEnd = cursor.window.end
    let header = try cursor.window.parse(at: offset, atMost: DeviceAreaHeader.byteCount) {
      (input) throws(FormatError) in try DeviceAreaHeader(parsing: &input, fileEnd: fileEnd)
    }.value
    let count = (header.end - header.table.lowerBound).rawValue
    return try cursor.window.parse(at: header.table.lowerBound, atMost: Int(count)) {
      (input) throws(FormatError) in try DeviceArea(header: header, parsing: &input)
    }.value
  }
}
