/// The cyclic redundancy check of Castagnoli's polynomial, as in iSCSI (RFC 3720): finds damage, not malice.
package struct CRC32C {
  private var state: UInt32 = ~0

  /// The sum of no bytes.
  package init() {}

  /// The sum so far.
  package var value: UInt32 { ~state }

  /// Takes in more bytes.
  ///
  /// - Complexity: O(bytes).
  package mutating func add(_ bytes: [UInt8]) {
    for byte in bytes {
      state = Self.table[Int((state ^ UInt32(byte)) & 0xFF)] ^ (state >> 8)
    }
  }

  /// The polynomial 0x1EDC6F41, its bits reversed.
  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in
      value & 1 == 1 ? (value >> 1) ^ 0x82F6_3B78 : value >> 1
    }
  }
}
