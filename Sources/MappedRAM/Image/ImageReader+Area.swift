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
    guard window.file.kind == .regular, (window.end - .zero) >= count else { return nil }
    let place = FileOffset(window.end.rawValue - count.rawValue)
    let trailer = try window.parse(at: place, atMost: DeviceAreaTrailer.byteCount) { input in
      DeviceAreaTrailer(parsing: &input)
    }.value
    guard let trailer else { return nil }
    do throws(ImageError) {
      let found = try parseArea(at: trailer.header)
      guard found.end == window.end else {
        throw window.failure(
          .deviceArea(.end(found: found.end, fileSize: window.end)), at: found.start,
          in: .deviceArea)
      }
      area = found
      window.cut(at: found.start)
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
        throw window.failure(
          .deviceArea(.streamEnd(found: position, expected: area.start)), at: position,
          in: .deviceArea)
      }
      return
    }
    guard try hasArea(at: position) else { return }
    let found = try parseArea(at: position)
    area = found
    if found.end < window.end, window.file.kind == .regular {
      remarks.append(.bytesAfterEnd(window.end - found.end))
    }
  }

  /// Whether an area begins at `offset`, or the first part of one.
  func hasArea(at offset: FileOffset) throws(ImageError) -> Bool {
    var window = window
    return try window.parse(at: offset, atMost: DeviceAreaHeader.byteCount) { input in
      DeviceAreaHeader.isPresent(at: input)
    }.value
  }

  private mutating func parseArea(at offset: FileOffset) throws(ImageError) -> DeviceArea {
    let fileEnd = window.end
    let header = try window.parse(at: offset, atMost: DeviceAreaHeader.byteCount) {
      (input) throws(FormatError) in try DeviceAreaHeader(parsing: &input, fileEnd: fileEnd)
    }.value
    let count = (header.end - header.table.lowerBound).rawValue
    return try window.parse(at: header.table.lowerBound, atMost: Int(count)) {
      (input) throws(FormatError) in try DeviceArea(header: header, parsing: &input)
    }.value
  }
}
