/// A record in the body of a VFIO device's section of type START, PART or END.
///
/// No description lists such a section, and it may have as many bytes as the device has state; its records tell where it ends.
///
/// | size | byte order | meaning | when |
/// | --- | --- | --- | --- |
/// | 8 | big | mark | always |
/// | 8 | big | bytes of data | `data` |
/// | n | | data | `data` |
///
/// Source: QEMU v10.0.2, `hw/vfio/migration.c`.
package enum VFIORecord: Equatable, Sendable {
  /// The body ends behind it.
  case end
  /// The device can be saved.
  case setup
  /// So many bytes of state follow.
  case data(ByteCount)
  /// What was sent so far is enough to begin with; the body ends behind it as well.
  case initialDataSent

  /// The most bytes of a record without its data.
  package static let maximumByteCount = 16

  private static let marks: UInt64 = 0xFFFF_FFFF_EF10_0000

  /// Reads a record without its data; `nil` where none of these is here.
  package init?(parsing input: inout ByteInput) {
    do throws(FormatError) {
      switch try input.readBigEndian(UInt64.self, in: .sectionHeader) {
      case Self.marks | 1: self = .end
      case Self.marks | 3: self = .setup
      case Self.marks | 4:
        self = .data(ByteCount(try input.readBigEndian(UInt64.self, in: .sectionHeader)))
      case Self.marks | 5: self = .initialDataSent
      default: return nil
      }
    } catch {
      return nil
    }
  }
}
