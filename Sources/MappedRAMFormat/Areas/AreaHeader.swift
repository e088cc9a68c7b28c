/// What an area holds: four characters, upper-case letters and digits.
public struct AreaKind: Hashable, Sendable {
  /// The characters.
  public let name: String

  /// A kind that is known here.
  private init(_ name: String) { self.name = name }

  /// The kind of these characters; `nil` where they are none.
  package init?(_ bytes: [UInt8]) {
    guard bytes.count == Self.byteCount,
      bytes.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) })
    else { return nil }
    name = String(decoding: bytes, as: UTF8.self)
  }

  /// The states of devices (`DeviceArea`).
  public static let devices = AreaKind("DEVS")
  /// What the image is of (`ImageFacts`).
  public static let facts = AreaKind("FACT")
  /// Sums of what is in the image (`SumsArea`).
  public static let sums = AreaKind("SUMS")

  /// Whether no area of this kind is ever needed to restore an image.
  package var isOptional: Bool { self == .sums || self == .facts }

  static let byteCount = 4
}

extension AreaKind: CustomStringConvertible {
  /// The characters.
  public var description: String { name }
}

/// The first bytes of an area, 64 of them, big-endian.
///
/// | offset | bytes | |
/// | --- | --- | --- |
/// | 0 | 8 | magic: `MRAM` and the kind |
/// | 8 | 4 | version of the kind |
/// | 12 | 4 | CRC-32C of this header with zeros here |
/// | 16 | 8 | this header's own offset |
/// | 24 | 8 | bytes of the area, this header among them |
/// | 32 | 8 | offset of the table |
/// | 40 | 8 | bytes of the table |
/// | 48 | 4 | CRC-32C of the table |
/// | 52 | 4 | flags |
/// | 56 | 8 | zero |
///
/// The next area begins where this one ends. A form of our own; FORMAT.md describes it.
public struct AreaHeader: Equatable, Sendable {
  /// What the area holds.
  public var kind: AreaKind
  /// The version of what it holds.
  public var version: UInt32
  /// Whether an image must not be restored by a program that does not know this kind and version.
  public var isNeeded: Bool
  /// All bytes of the area, from its header on.
  public var range: Range<FileOffset>
  /// The bytes of its table, which says what else is in the area.
  package var table: Range<FileOffset>
  /// The CRC-32C of the table.
  package var tableChecksum: UInt32

  /// The characters with which each area begins.
  package static let magic: [UInt8] = Array("MRAM".utf8)
  /// Those and the kind.
  package static let magicByteCount = 8
  /// Bytes in a header.
  package static let byteCount = 64
  /// The flag of an area that is needed.
  private static let neededFlag: UInt32 = 1
  /// Where the header's own sum stands.
  private static let checksumPlace = 12..<16

  /// The header of an area in `range` whose table is `bytes`.
  package init(
    _ kind: AreaKind, version: UInt32, isNeeded: Bool, range: Range<FileOffset>,
    table bytes: ByteOutput
  ) {
    self.kind = kind
    self.version = version
    self.isNeeded = isNeeded
    self.range = range
    table = bytes.base..<bytes.offset
    tableChecksum = Self.sum(of: bytes.bytes)
  }

  /// The first byte behind the header.
  package var end: FileOffset { range.lowerBound + ByteCount(Self.byteCount) }

  /// Whether an area begins here, or the first part of one that has been cut off.
  package static func isPresent(at input: borrowing ByteInput) -> Bool {
    guard input.remaining > 0 else { return false }
    return magic.indices.allSatisfy { input.peek($0) == nil || input.peek($0) == magic[$0] }
  }

  /// Whether zeros stand where an area is to begin: its writer has not finished.
  package static func isUnfinished(at input: borrowing ByteInput) -> Bool {
    (0..<magicByteCount).allSatisfy { input.peek($0) == 0 }
  }

  /// Reads a header, in a file that ends at `fileEnd`.
  ///
  /// - Throws: `truncated`; `area`: another magic or sum, places that cannot be, flags that are not known.
  package init(parsing input: inout ByteInput, fileEnd: FileOffset) throws(FormatError) {
    let place = input.offset
    func fail(_ problem: AreaProblem, _ offset: Int) -> FormatError {
      FormatError(.area(problem), at: place + ByteCount(offset), in: .areas)
    }
    var copy = input
    var bytes = try copy.readBytes(Self.byteCount, in: .areas)
    let magic = try input.readBytes(8, in: .areas)
    guard magic.starts(with: Self.magic), let kind = AreaKind(Array(magic[4...])) else {
      throw fail(.magic(found: magic), 0)
    }
    self.kind = kind
    version = try input.readBigEndian(in: .areas)
    let checksum = try input.readBigEndian(UInt32.self, in: .areas)
    bytes.replaceSubrange(Self.checksumPlace, with: [0, 0, 0, 0])
    let expected = Self.sum(of: bytes)
    guard checksum == expected else {
      throw fail(.checksum(found: checksum, expected: expected), Self.checksumPlace.lowerBound)
    }
    let start = FileOffset(try input.readBigEndian(UInt64.self, in: .areas))
    let length = ByteCount(try input.readBigEndian(UInt64.self, in: .areas))
    let tableStart = FileOffset(try input.readBigEndian(UInt64.self, in: .areas))
    let tableBytes = ByteCount(try input.readBigEndian(UInt64.self, in: .areas))
    tableChecksum = try input.readBigEndian(in: .areas)
    let flags = try input.readBigEndian(UInt32.self, in: .areas)
    let reserved = try input.readBigEndian(UInt64.self, in: .areas)

    guard start == place else { throw fail(.place(found: start, expected: place), 16) }
    guard length >= ByteCount(Self.byteCount) else { throw fail(.length(found: length), 24) }
    guard let end = place.adding(length), end <= fileEnd else {
      throw fail(.end(length, fileSize: fileEnd), 24)
    }
    range = place..<end
    guard tableStart >= place + ByteCount(Self.byteCount),
      let tableEnd = tableStart.adding(tableBytes), tableEnd <= end
    else { throw fail(.tablePlace(tableStart, tableBytes, area: range), 32) }
    table = tableStart..<tableEnd
    guard flags & ~Self.neededFlag == 0 else { throw fail(.flags(found: flags), 52) }
    isNeeded = flags & Self.neededFlag != 0
    guard reserved == 0 else { throw fail(.reserved(found: reserved), 56) }
  }

  /// The header's bytes, with their sum.
  package var encoded: ByteOutput {
    let plain = encoded(checksum: 0)
    return encoded(checksum: Self.sum(of: plain.bytes))
  }

  private func encoded(checksum: UInt32) -> ByteOutput {
    var output = ByteOutput(at: range.lowerBound)
    output.write(Self.magic)
    output.write(kind.name.utf8)
    output.writeBigEndian(version)
    output.writeBigEndian(checksum)
    output.writeBigEndian(range.lowerBound.rawValue)
    output.writeBigEndian(range.byteCount.rawValue)
    output.writeBigEndian(table.lowerBound.rawValue)
    output.writeBigEndian(table.byteCount.rawValue)
    output.writeBigEndian(tableChecksum)
    output.writeBigEndian(isNeeded ? Self.neededFlag : 0)
    output.writeBigEndian(UInt64(0))
    return output
  }

  /// Makes sure that `bytes` are the table that was written.
  package func check(table bytes: [UInt8]) throws(FormatError) {
    let expected = Self.sum(of: bytes)
    guard tableChecksum == expected else {
      throw FormatError(
        .area(.tableChecksum(found: expected, expected: tableChecksum)), at: table.lowerBound,
        in: .area(kind))
    }
  }

  private static func sum(of bytes: [UInt8]) -> UInt32 {
    var sum = CRC32C()
    sum.add(bytes)
    return sum.value
  }
}
