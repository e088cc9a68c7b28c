/// What is wrong with the table of devices' states.
public enum DeviceAreaProblem: Equatable, Sendable {
  case tableEnd(found: FileOffset, expected: FileOffset)
  case noDevices
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
    case .tableEnd(let found, let expected):
      "the table ends at \(found); expected \(expected)."
    case .noDevices: "the area has no device."
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
