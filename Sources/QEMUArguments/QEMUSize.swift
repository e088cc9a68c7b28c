/// Sizes as QEMU's options take them.
enum QEMUSize {
  /// The bytes that `text` names: a number with a suffix of `B`, `K`, `M`, `G`, `T`, `P` or `E` in either
  /// case, powers of 1024; a fraction only with a suffix above `B`.
  ///
  /// `nil` where it is none: QEMU will say so. (Source: qemu-system(1), and tried on QEMU 10.0.2.)
  /// - Parameter unit: the bytes that a number without a suffix counts.
  static func bytes(_ text: String, unit: UInt64 = 1) -> UInt64? {
    if text.hasPrefix("0x") || text.hasPrefix("0X") {
      // QEMU puts the unit's letter behind a bare number, and takes none behind hexadecimal digits.
      return unit == 1 ? UInt64(text.dropFirst(2), radix: 16) : nil
    }
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let suffix = text.dropFirst(digits.count)
    let scale: UInt64
    if suffix.isEmpty {
      scale = unit
    } else {
      guard suffix.count == 1, let letter = suffix.first?.uppercased(),
        let index = ["B", "K", "M", "G", "T", "P", "E"].firstIndex(of: letter)
      else { return nil }
      scale = 1 << UInt64(10 * index)
    }
    if let number = UInt64(digits) { return product(number, scale) }
    guard !suffix.isEmpty, scale > 1, digits.contains("."), let number = Double(digits) else {
      return nil
    }
    return UInt64(exactly: (number * Double(scale)).rounded(.towardZero))
  }

  private static func product(_ number: UInt64, _ unit: UInt64) -> UInt64? {
    let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
    return overflow ? nil : bytes
  }
}
