import LinuxIO
import MappedRAMFormat

/// Looks for areas by their magic, where the chain that leads to them is damaged.
enum AreaScan {
  /// The headers in `range` of a regular file that have their checksum and stand where they say, in file order: none inside of another's
  /// area.
  ///
  /// On a device, where areas of an older image may stand, nothing is looked for.
  ///
  /// - Complexity: O(bytes of the range that are no hole).
  static func headers(
    in range: Range<FileOffset>, of file: ImageFile
  ) throws(ImageError) -> [AreaHeader] {
    guard file.kind == .regular, !range.isEmpty else { return [] }
    var found: [AreaHeader] = []
    var position = range.lowerBound
    while position < range.upperBound, found.count < ImageLimits.areas {
      guard let data = try file.nextData(in: position..<range.upperBound) else { break }
      position = data.lowerBound
      let bytes = try file.readUp(to: ImageFile.chunkBytes + AreaHeader.byteCount, at: position)
      guard !bytes.isEmpty else { break }
      let place = firstHeader(in: bytes, at: position, fileEnd: range.upperBound)
      if let place {
        found.append(place)
        position = place.range.upperBound
      } else {
        position = position + ByteCount(min(bytes.count, ImageFile.chunkBytes))
      }
    }
    return found
  }

  private static func firstHeader(
    in bytes: [UInt8], at base: FileOffset, fileEnd: FileOffset
  ) -> AreaHeader? {
    var start = 0
    while let next = bytes[start...].firstIndex(of: AreaHeader.magic[0]) {
      if bytes[next...].starts(with: AreaHeader.magic) {
        var input = ByteInput(
          bytes.span.extracting(next..<bytes.count), at: base + ByteCount(next))
        do throws(FormatError) {
          return try AreaHeader(parsing: &input, fileEnd: fileEnd)
        } catch {
          // Bytes that look like one.
        }
      }
      start = next + 1
    }
    return nil
  }
}
