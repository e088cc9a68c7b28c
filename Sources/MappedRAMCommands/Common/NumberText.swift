import Glibc
import LinuxIO

/// Numbers as people read them. Programs get raw numbers.
enum NumberText {
  /// A moment, in seconds since the begin of 1970: `2026-11-27 22:50:00 UTC`. One that is in no year of four digits as its number.
  static func moment(_ seconds: Int64) -> String {
    // The first and the last second of those years.
    guard (-62_167_219_200...253_402_300_799).contains(seconds) else { return "\(seconds)" }
    var moment = time_t(seconds)
    var parts = unsafe tm()
    // SAFETY: both are this function's own; the name of the zone, to which the parts have a pointer, is not read.
    _ = unsafe gmtime_r(&moment, &parts)
    let fields = unsafe [
      parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
      parts.tm_sec,
    ]
    let texts = zip(fields, [4, 2, 2, 2, 2, 2]).map { value, count in
      String(repeating: "0", count: count - String(value).count) + String(value)
    }
    return "\(texts[..<3].joined(separator: "-")) \(texts[3...].joined(separator: ":")) UTC"
  }

  /// Three digits that count, or all of the whole part: `0.012`, `2.31`, `24.3`, `1023`.
  static func significant(_ value: Double) -> String {
    guard value.isFinite else { return "-" }
    switch abs(value) {
    case ..<0.9995: return fixed(value, places: 3)
    case ..<9.995: return fixed(value, places: 2)
    case ..<99.95: return fixed(value, places: 1)
    default: return fixed(value, places: 0)
    }
  }

  /// `value` with `places` digits after the point, rounded to the nearest.
  ///
  /// - Precondition: `places` is 0 to 6, and the value times that power of ten fits an Int64.
  static func fixed(_ value: Double, places: Int) -> String {
    precondition((0...6).contains(places), "up to six places")
    let scale = (0..<places).reduce(1) { scale, _ in scale * 10 }
    let scaled = Int64((abs(value) * Double(scale)).rounded())
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard places > 0 else { return "\(sign)\(scaled)" }
    let fraction = String(scaled % Int64(scale))
    let zeros = String(repeating: "0", count: places - fraction.count)
    return "\(sign)\(scaled / Int64(scale)).\(zeros)\(fraction)"
  }

  /// A number of bytes in the unit that fits: `512 B`, `8.51 MiB`, `64.0 GiB`.
  static func bytes(_ count: UInt64) -> String { bytes(Double(count)) }

  private static func bytes(_ count: Double) -> String {
    var value = count
    var unit = 0
    // What would be rounded up to 1024 is one of the next unit.
    while value >= 1023.5, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    return "\(unit == 0 ? fixed(value, places: 0) : significant(value)) \(units[unit])"
  }

  private static let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

  /// A rate in GiB/s, whatever its size, so that rates can be compared at a glance.
  static func rate(bytesPerSecond: Double) -> String {
    "\(significant(bytesPerSecond / gibibyte)) GiB/s"
  }

  /// Bytes in a GiB.
  static let gibibyte = Double(1 << 30)

  /// A time: `0.052 s`, `12.3 s`, `2 min 05 s`, `3 h 07 min`.
  static func duration(_ duration: Duration) -> String {
    let seconds = duration.inSeconds
    if seconds < 99.95 { return "\(significant(seconds)) s" }
    let whole = Int(seconds.rounded())
    if whole < 3600 { return "\(whole / 60) min \(twoDigits(whole % 60)) s" }
    return "\(whole / 3600) h \(twoDigits(whole / 60 % 60)) min"
  }

  /// A time that is mostly less than a second: `52 ms`, `1.20 s`.
  static func shortDuration(_ duration: Duration) -> String {
    duration < .milliseconds(999.5)
      ? "\(fixed(duration.inSeconds * 1000, places: duration < .milliseconds(10) ? 1 : 0)) ms"
      : self.duration(duration)
  }

  /// A time that is only guessed, in whole seconds: `8 s`, `2 min 05 s`.
  static func roughDuration(_ duration: Duration) -> String {
    let seconds = max(duration.inSeconds, 0)
    return seconds < 99.5
      ? "\(fixed(seconds, places: 0)) s" : self.duration(.seconds(seconds.rounded()))
  }

  private static func twoDigits(_ number: Int) -> String {
    number < 10 ? "0\(number)" : "\(number)"
  }

  /// `count` and the noun, with an s unless it is one.
  static func count(_ count: UInt64, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }
}

extension NumberText {
  /// A number of bytes in the unit that fits, and exactly: `9.42 MiB (9876543 bytes)`.
  static func exactBytes(_ count: UInt64) -> String {
    count < 1024 ? self.count(count, "byte") : "\(bytes(count)) (\(count) bytes)"
  }

  /// `count`, which is not negative, and the noun, with an s unless it is one.
  static func count(_ count: Int, _ noun: String) -> String { self.count(UInt64(count), noun) }
}
