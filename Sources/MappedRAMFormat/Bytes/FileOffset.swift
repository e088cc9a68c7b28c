/// A place in a file, in bytes from its first byte.
///
/// Offsets in an image are absolute: they count from the start of the file, also where the migration
/// stream itself starts later.
public struct FileOffset: RawRepresentable, Hashable, Sendable {
  /// Bytes from the start of the file.
  public var rawValue: UInt64

  /// The place `rawValue` bytes into the file.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The place `rawValue` bytes into the file.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// The first byte of the file.
  public static let zero = FileOffset(0)

  /// The place `count` bytes further on, or `nil` where that leaves 64 bits.
  public func adding(_ count: ByteCount) -> FileOffset? {
    let (sum, overflow) = rawValue.addingReportingOverflow(count.rawValue)
    return overflow ? nil : FileOffset(sum)
  }

  /// The first multiple of `alignment` at or after this place, or `nil` where that leaves 64 bits.
  ///
  /// - Precondition: `alignment` is a power of two.
  public func alignedUp(to alignment: UInt64) -> FileOffset? {
    precondition(alignment.nonzeroBitCount == 1, "an alignment is a power of two")
    return adding(ByteCount(alignment - 1)).map { FileOffset($0.rawValue & ~(alignment - 1)) }
  }

  /// Whether this place is a multiple of `alignment`, a power of two.
  public func isAligned(to alignment: UInt64) -> Bool { rawValue & (alignment &- 1) == 0 }

  /// The place `count` bytes after `offset`; traps on overflow, so only for sums known to be good.
  public static func + (offset: FileOffset, count: ByteCount) -> FileOffset {
    FileOffset(offset.rawValue + count.rawValue)
  }

  /// The bytes from `start` to `end`; traps where `end` lies before `start`.
  public static func - (end: FileOffset, start: FileOffset) -> ByteCount {
    ByteCount(end.rawValue - start.rawValue)
  }
}

extension FileOffset: Comparable {
  /// Whether `left` lies before `right`.
  public static func < (left: FileOffset, right: FileOffset) -> Bool {
    left.rawValue < right.rawValue
  }
}

extension FileOffset: ExpressibleByIntegerLiteral {
  /// The place `value` bytes into the file.
  public init(integerLiteral value: UInt64) { rawValue = value }
}

extension FileOffset: CustomStringConvertible {
  /// The offset in hexadecimal: `0x100000`.
  public var description: String { "0x" + String(rawValue, radix: 16) }
}

/// A number of bytes.
public struct ByteCount: RawRepresentable, Hashable, Sendable {
  /// The number.
  public var rawValue: UInt64

  /// `rawValue` bytes.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// `rawValue` bytes.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// `count` bytes, where `count` is not negative.
  public init(_ count: Int) { rawValue = UInt64(count) }

  /// No byte.
  public static let zero = ByteCount(UInt64(0))

  /// The sum, or `nil` where it leaves 64 bits.
  public func adding(_ other: ByteCount) -> ByteCount? {
    let (sum, overflow) = rawValue.addingReportingOverflow(other.rawValue)
    return overflow ? nil : ByteCount(sum)
  }

  /// The sum; traps on overflow.
  public static func + (left: ByteCount, right: ByteCount) -> ByteCount {
    ByteCount(left.rawValue + right.rawValue)
  }

  /// Adds; traps on overflow.
  public static func += (left: inout ByteCount, right: ByteCount) { left = left + right }

  /// The difference; traps where it would be negative.
  public static func - (left: ByteCount, right: ByteCount) -> ByteCount {
    ByteCount(left.rawValue - right.rawValue)
  }
}

extension ByteCount: Comparable {
  /// Whether `left` is fewer bytes than `right`.
  public static func < (left: ByteCount, right: ByteCount) -> Bool {
    left.rawValue < right.rawValue
  }
}

extension ByteCount: ExpressibleByIntegerLiteral {
  /// `value` bytes.
  public init(integerLiteral value: UInt64) { rawValue = value }
}

extension ByteCount: CustomStringConvertible {
  /// The number in decimal.
  public var description: String { String(rawValue) }
}

extension Range<FileOffset> {
  /// The bytes in this part of the file.
  public var byteCount: ByteCount { upperBound - lowerBound }
}
