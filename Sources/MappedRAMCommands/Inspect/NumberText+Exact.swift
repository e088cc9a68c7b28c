extension NumberText {
  /// A number of bytes in the unit that fits, and exactly: `9.42 MiB (9876543 bytes)`.
  static func exactBytes(_ count: UInt64) -> String {
    count < 1024 ? self.count(count, "byte") : "\(bytes(count)) (\(count) bytes)"
  }

  /// `count`, which is not negative, and the noun, with an s unless it is one.
  static func count(_ count: Int, _ noun: String) -> String { self.count(UInt64(count), noun) }
}
