/// What is wrong with the area of devices' states.
public enum DeviceAreaProblem: Equatable, Sendable {
  case magic(found: [UInt8])
  case version(found: UInt32)
  case checksum(found: UInt32, expected: UInt32)
  case start(found: FileOffset, expected: FileOffset)
  case end(found: FileOffset, fileSize: FileOffset)
  case tableStart(found: FileOffset, headerEnd: FileOffset)
  case tableBytes(found: ByteCount)
  case tableEnd(found: FileOffset, expected: FileOffset)
  case trailer
  case streamEnd(found: FileOffset, expected: FileOffset)
  case noDevices
  case reserved(found: UInt64)
  case deviceTwice
  case bufferCount(found: UInt32, most: UInt32)
  case byteTotal(found: ByteCount, expected: ByteCount)
  case bufferNumber(found: UInt32, expected: UInt32)
  case bufferFlags(found: UInt32)
  case lastMissing
  case lastTooEarly
  case bufferPlace(FileOffset, ByteCount, area: Range<FileOffset>)
  case buffersOverlap(with: DeviceIdentity)
}

extension DeviceAreaProblem: CustomStringConvertible {
  /// What was found and what was expected.
  public var description: String {
    switch self {
    case .magic(let found): "expected the magic \"MRAMDEVS\", found \(hex(found))."
    case .version(let found): "version \(found) is unknown; expected 1."
    case .checksum(let found, let expected):
      "the checksum is \(hexNumber(UInt64(found))); the bytes give \(hexNumber(UInt64(expected)))."
    case .start(let found, let expected):
      "the header says that it is at \(found); expected \(expected)."
    case .end(let found, let fileSize):
      "the area ends at \(found), past the end of the file at \(fileSize). The file is cut off."
    case .tableStart(let found, let headerEnd):
      "the table is said to begin at \(found), before the header's end at \(headerEnd)."
    case .tableBytes(let found):
      "the table is said to have \(found) bytes, which does not fit the area."
    case .tableEnd(let found, let expected):
      "the devices' entries end at \(found); expected \(expected), the end of the table."
    case .trailer: "there is no trailer behind the table that leads back to the header."
    case .streamEnd(let found, let expected):
      "the stream ends at \(found); expected \(expected), where this area begins."
    case .noDevices: "the area has no device."
    case .reserved(let found): "expected zero in the last field, found \(hexNumber(found))."
    case .deviceTwice: "the device is listed a second time."
    case .bufferCount(let found, let most):
      "\(found) buffers; expected at least 1 and at most \(most)."
    case .byteTotal(let found, let expected):
      "the device is said to have \(found) bytes; its buffers have \(expected)."
    case .bufferNumber(let found, let expected):
      "buffer number \(found); expected \(expected): each number once, in order."
    case .bufferFlags(let found): "unknown flags \(hexNumber(UInt64(found))) of a buffer."
    case .lastMissing: "the device's last buffer is not marked as the last."
    case .lastTooEarly: "a buffer is marked as the last, and more follow."
    case .bufferPlace(let offset, let count, let area):
      "a buffer of \(count) bytes is said to be at \(offset); expected a place from \(area.lowerBound) to \(area.upperBound)."
    case .buffersOverlap(let other):
      "the buffer shares bytes with one of device \(quoted(other.description))."
    }
  }
}
