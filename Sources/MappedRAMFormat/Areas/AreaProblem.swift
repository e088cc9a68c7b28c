/// What is wrong with the areas behind a stream: with a header, or with what closes them.
public enum AreaProblem: Equatable, Sendable {
  case magic(found: [UInt8])
  case checksum(found: UInt32, expected: UInt32)
  case place(found: FileOffset, expected: FileOffset)
  case length(found: ByteCount)
  case end(ByteCount, fileSize: FileOffset)
  case tablePlace(FileOffset, ByteCount, area: Range<FileOffset>)
  case tableChecksum(found: UInt32, expected: UInt32)
  case flags(found: UInt32)
  case reserved(found: UInt64)
  case tooMany(limit: Int)
  case twice
  case unknown(version: UInt32)
  case noClosing
  case closingOffset(found: FileOffset, expected: FileOffset)
  case closingEnd(found: FileOffset, expected: FileOffset)
  case descriptionCopy
  case streamEnd(found: FileOffset, expected: FileOffset)
}

extension AreaProblem: CustomStringConvertible {
  /// What was found and what was expected.
  public var description: String {
    switch self {
    case .magic(let found):
      "expected the magic of an area, \"MRAM\" and four letters or digits, found \(hex(found))."
    case .checksum(let found, let expected):
      "the header's checksum is \(hexNumber(UInt64(found))); its bytes give \(hexNumber(UInt64(expected)))."
    case .place(let found, let expected):
      "the header says that it is at \(found); expected \(expected)."
    case .length(let found): "the area is said to have \(found) bytes; expected at least 64."
    case .end(let length, let fileSize):
      "the area is said to have \(length) bytes, which end past the end of the file at \(fileSize). The file is cut off."
    case .tablePlace(let offset, let count, let area):
      "a table of \(count) bytes is said to be at \(offset); expected a place behind the header and before \(area.upperBound)."
    case .tableChecksum(let found, let expected):
      "the table's checksum should be \(hexNumber(UInt64(expected))); its bytes give \(hexNumber(UInt64(found)))."
    case .flags(let found): "unknown flags \(hexNumber(UInt64(found))) of an area."
    case .reserved(let found): "expected zero in the last field, found \(hexNumber(found))."
    case .tooMany(let limit): "more than \(limit) areas."
    case .twice: "there is a second area of this kind."
    case .unknown(let version):
      "version \(version) of this kind is unknown, and the image must not be restored without it. A newer mapped-ram may know it."
    case .noClosing:
      "expected an area or the line that closes the areas, found neither. The file is cut off or damaged here."
    case .closingOffset(let found, let expected):
      "the line that closes the areas says that they begin at \(found); expected \(expected)."
    case .closingEnd(let found, let expected):
      "the areas that begin here are closed at \(found); expected \(expected), the end of the file."
    case .descriptionCopy: "the copy of the JSON device description is not the stream's."
    case .streamEnd(let found, let expected):
      "the stream ends at \(found); expected \(expected), where the first area begins."
    }
  }
}
