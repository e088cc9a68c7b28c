import ArgumentParser

/// A number of bytes on the command line: `4096`, `0x1000`, `64K`, `1MiB`, `4G`. The units are powers of 1024.
struct ByteSize: Equatable, Sendable, ExpressibleByArgument, CustomStringConvertible {
  /// The number.
  var byteCount: UInt64

  /// `byteCount` bytes.
  init(_ byteCount: UInt64) { self.byteCount = byteCount }

  /// The number that `argument` says; `nil` if that is none, or 2^64 or more.
  init?(argument: String) {
    let text = argument.uppercased()
    if text.hasPrefix("0X") {
      let digits = text.dropFirst(2)
      guard digits.allSatisfy(\.isHexDigit), let value = UInt64(digits, radix: 16) else {
        return nil
      }
      byteCount = value
      return
    }
    let digits = text.prefix { ("0"..."9").contains($0) }
    guard let number = UInt64(digits), let shift = Self.shifts[String(text.dropFirst(digits.count))]
    else { return nil }
    let (value, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
    guard !overflow else { return nil }
    byteCount = value
  }

  private static let shifts: [String: UInt64] = {
    var shifts: [String: UInt64] = ["": 0, "B": 0]
    for (index, letter) in ["K", "M", "G", "T", "P"].enumerated() {
      for unit in [letter, letter + "B", letter + "IB"] { shifts[unit] = UInt64(index + 1) * 10 }
    }
    return shifts
  }()

  /// The shortest form that is exact: `64K`, `1M`, `4097`.
  var description: String {
    var value = byteCount
    var unit = 0
    let letters = ["", "K", "M", "G", "T", "P"]
    while value > 0, value & 1023 == 0, unit < letters.count - 1 {
      value >>= 10
      unit += 1
    }
    return "\(value)\(letters[unit])"
  }

  var defaultValueDescription: String { description }
}
