import MappedRAMFormat

/// An empty qcow2 image over another one, or over a raw file: everything that is not written to it is read from there.
///
/// Clusters of 64 KiB, in this order: the header with the name of what is below, the refcount table, one refcount block, the L1 table. No
/// cluster of the disk is there yet, so neither is an L2 table.
///
/// Source: QEMU v10.0.2, `docs/interop/qcow2.rst`.
struct QCOW2Overlay: Equatable {
  /// Bytes of the disk, as the guest sees it.
  var byteCount: UInt64
  /// What is below: an absolute path.
  var backing: String
  /// What is in that, `raw` or `qcow2`.
  var format: String

  private static let clusterBytes = 1 << 16
  /// Bytes of the disk that one entry of the L1 table is for: an L2 table of one cluster, whose entries have 8 bytes.
  private static let entryBytes = UInt64(clusterBytes / 8 * clusterBytes)
  /// The longest name that the format has room for.
  static let longestName = 1023

  /// The parts of the file that are no holes, with their places, and the file's length.
  ///
  /// - Precondition: the name is not too long, and the disk has at most 2^46 bytes: its L1 table then has one cluster for each 4 TiB.
  var parts: (parts: [(offset: UInt64, bytes: [UInt8])], length: UInt64) {
    let name = Array(backing.utf8)
    precondition(name.count <= Self.longestName && byteCount <= ImageLimits.ramBytes.rawValue)
    let cluster = UInt64(Self.clusterBytes)
    let entries = (byteCount + Self.entryBytes - 1) / Self.entryBytes
    let tableClusters = max(1, (entries * 8 + cluster - 1) / cluster)
    var header = ByteOutput()
    func write(_ values: UInt32...) { values.forEach { header.writeBigEndian($0) } }
    func write(_ values: UInt64...) { values.forEach { header.writeBigEndian($0) } }
    let extensionBytes = (format.utf8.count + 7) / 8 * 8
    let nameOffset = UInt64(104 + 8 + extensionBytes + 8)
    write(0x5146_49FB as UInt32, 3)
    write(nameOffset)
    write(UInt32(name.count), 16)
    write(byteCount)
    write(0 as UInt32, UInt32(entries))
    // The L1 table, the refcount table, which has one cluster; no snapshots, at no place.
    write(3 * cluster, cluster)
    write(1 as UInt32, 0)
    // No snapshots; no features: incompatible, compatible, of auto-clear.
    write(0 as UInt64, 0, 0, 0)
    // Reference counts of 16 bits; the header's length.
    write(4 as UInt32, 104)
    write(0xE279_2ACA as UInt32, UInt32(format.utf8.count))
    header.write(format.utf8)
    header.write(repeatElement(0, count: extensionBytes - format.utf8.count))
    write(0 as UInt32, 0)
    header.write(name)
    var table = ByteOutput()
    table.writeBigEndian(2 * cluster)
    var counts = ByteOutput()
    for _ in 0..<(3 + tableClusters) { counts.writeBigEndian(1 as UInt16) }
    return (
      [(0, header.bytes), (cluster, table.bytes), (2 * cluster, counts.bytes)],
      (3 + tableClusters) * cluster
    )
  }
}

/// What the header of a qcow2 image says of its disk.
struct QCOW2Header: Equatable {
  /// Bytes of the disk, as the guest sees it.
  var byteCount: UInt64
  /// Whether it is encrypted.
  var isEncrypted: Bool

  /// Bytes that are looked at.
  static let byteCount = 36

  /// Reads the first bytes of a file; `nil` where they are of no qcow2 image.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= Self.byteCount, bytes[0..<4] == [0x51, 0x46, 0x49, 0xFB],
      bytes[4..<8] == [0, 0, 0, 2] || bytes[4..<8] == [0, 0, 0, 3]
    else { return nil }
    byteCount = bytes[24..<32].reduce(0) { $0 << 8 | UInt64($1) }
    isEncrypted = bytes[32..<36] != [0, 0, 0, 0]
  }
}
