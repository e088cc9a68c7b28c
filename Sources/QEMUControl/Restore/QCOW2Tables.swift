import LinuxIO
import SystemPackage

/// What a qcow2 file has of its own: the L1 table, and those of its internal snapshots.
///
/// Two tables with the same entries stand for the same contents as long as both are there: what both use is not written in place.
///
/// Source: QEMU v10.0.2, `docs/interop/qcow2.rst`.
struct QCOW2Tables {
  /// Where the file has what the guest sees now. Entries have no flags; those of zero at the end are left out.
  private let active: [UInt64]
  /// The internal snapshots, the oldest first.
  let snapshots: [Snapshot]
  private let file: File

  /// An internal snapshot.
  struct Snapshot: Equatable {
    /// Its name.
    var name: String
    /// When it was made, in whole seconds since the begin of 1970 (UTC).
    var seconds: Int64
    fileprivate var table: Place
  }

  fileprivate struct Place: Equatable {
    var offset: UInt64
    var entries: UInt64
  }

  /// The longest L1 table that QEMU opens, in entries: 32 MiB.
  private static let maximumEntries: UInt64 = 4 << 20
  /// Bytes of the list of snapshots that are read: some ten thousand snapshots.
  private static let maximumListBytes = 1 << 20
  /// Where an L1 entry has its L2 table. The other bits are flags.
  private static let offsetMask: UInt64 = 0x00ff_ffff_ffff_fe00

  /// Reads the file at `path`; `nil` where it is no qcow2 file that is whole, or may not be read.
  init?(of path: FilePath) {
    guard let file = try? File.open(path, access: .read, directIO: .off),
      let size = try? file.size(), size >= 72,
      let header = try? file.readBytes(at: 0, count: 72), QCOW2Header(header) != nil
    else { return nil }
    let place = Place(offset: Self.number(header, 40, 8), entries: Self.number(header, 36, 4))
    guard let active = Self.table(place, in: file, size) else { return nil }
    self.file = file
    self.active = active
    snapshots = Self.snapshots(
      Self.number(header, 60, 4), at: Self.number(header, 64, 8), in: file, size)
  }

  /// Whether the file has contents of its own, and not all from the file below it.
  var hasContents: Bool { !active.isEmpty }

  /// The oldest internal snapshot that was made at `moment` or later, and that the disk is as it was at.
  func snapshot(notBefore moment: Int64) -> Snapshot? {
    guard let size = try? file.size() else { return nil }
    return snapshots.filter { $0.seconds >= moment }.first {
      Self.table($0.table, in: file, size) == active
    }
  }

  private static func table(_ place: Place, in file: File, _ size: UInt64) -> [UInt64]? {
    guard place.entries <= maximumEntries, place.offset <= size,
      place.entries * 8 <= size - place.offset,
      let bytes = try? file.readBytes(at: place.offset, count: Int(place.entries * 8))
    else { return nil }
    var entries = (0..<Int(place.entries)).map { number(bytes, $0 * 8, 8) & offsetMask }
    while entries.last == 0 { entries.removeLast() }
    return entries
  }

  /// Those that can be read, of `count` in the list at `offset`.
  private static func snapshots(
    _ count: UInt64, at offset: UInt64, in file: File, _ size: UInt64
  ) -> [Snapshot] {
    guard count > 0, offset < size,
      let bytes = try? file.readBytes(
        at: offset, count: Int(min(size - offset, UInt64(maximumListBytes))))
    else { return [] }
    var found: [Snapshot] = []
    var start = 0
    while UInt64(found.count) < count, bytes.count - start >= 40 {
      let idBytes = Int(number(bytes, start + 12, 2))
      let nameBytes = Int(number(bytes, start + 14, 2))
      let name = start + 40 + Int(number(bytes, start + 36, 4)) + idBytes
      guard bytes.count - name >= nameBytes else { break }
      found.append(
        Snapshot(
          name: String(decoding: bytes[name..<(name + nameBytes)], as: UTF8.self),
          seconds: Int64(number(bytes, start + 16, 4)),
          table: Place(
            offset: number(bytes, start, 8), entries: number(bytes, start + 8, 4))))
      start = (name + nameBytes + 7) & ~7
    }
    return found
  }

  /// A big-endian number.
  private static func number(_ bytes: [UInt8], _ start: Int, _ count: Int) -> UInt64 {
    bytes[start..<(start + count)].reduce(0) { $0 << 8 | UInt64($1) }
  }
}
