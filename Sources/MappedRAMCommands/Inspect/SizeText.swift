/// Numbers of bytes for people.
enum SizeText {
  private static let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

  /// Three digits or so: `0 B`, `512 B`, `9.4 MiB`, `128 MiB`.
  static func short(_ byteCount: UInt64) -> String {
    guard byteCount >= 1024 else { return "\(byteCount) B" }
    var unit = 0
    // Tenths of the unit, rounded.
    while unit < units.count - 1, tenths(byteCount, unit) >= 10240 { unit += 1 }
    let tenths = tenths(byteCount, unit)
    return tenths % 10 == 0 || tenths >= 1000
      ? "\((tenths + 5) / 10) \(units[unit])" : "\(tenths / 10).\(tenths % 10) \(units[unit])"
  }

  /// The short form, and the exact number where it differs: `9.4 MiB (9876543 bytes)`.
  static func exact(_ byteCount: UInt64) -> String {
    byteCount < 1024 ? "\(byteCount) bytes" : "\(short(byteCount)) (\(byteCount) bytes)"
  }

  private static func tenths(_ byteCount: UInt64, _ unit: Int) -> UInt64 {
    let shift = UInt64(10 * (unit + 1))
    let whole = byteCount >> shift
    let rest = byteCount & (1 << shift - 1)
    // The rest is below 2^60, so ten of them stay below 2^64.
    return whole * 10 + (rest * 10 + 1 << (shift - 1)) >> shift
  }

  /// A noun with its number: `1 page`, `2 pages`.
  static func count(_ number: Int, _ singular: String, _ plural: String? = nil) -> String {
    "\(number) \(number == 1 ? singular : plural ?? singular + "s")"
  }
}
