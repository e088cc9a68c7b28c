import MappedRAMFormat

/// The version of a QEMU.
public struct QEMUVersion: Comparable, Sendable, CustomStringConvertible {
  /// The first number; QEMU counts it up each year.
  public var major: Int
  /// The second number.
  public var minor: Int
  /// The third number; of 50 and more in versions under development.
  public var micro: Int
  /// What the distribution calls it; may be empty.
  public var package: String

  /// A version of its parts.
  public init(_ major: Int, _ minor: Int, _ micro: Int = 0, package: String = "") {
    (self.major, self.minor, self.micro, self.package) = (major, minor, micro, package)
  }

  /// The version in QMP's greeting or in the answer to query-version; `nil` for anything else.
  init?(_ value: JSONValue?) {
    let numbers = value?["qemu"]
    guard case .integer(let major) = numbers?["major"],
      case .integer(let minor) = numbers?["minor"],
      case .integer(let micro) = numbers?["micro"], let major = Int(exactly: major),
      let minor = Int(exactly: minor), let micro = Int(exactly: micro)
    else { return nil }
    self.init(major, minor, micro, package: value?["package"]?.string ?? "")
  }

  /// Compares the numbers alone.
  public static func < (left: QEMUVersion, right: QEMUVersion) -> Bool {
    (left.major, left.minor, left.micro) < (right.major, right.minor, right.micro)
  }

  /// Compares the numbers alone.
  public static func == (left: QEMUVersion, right: QEMUVersion) -> Bool {
    (left.major, left.minor, left.micro) == (right.major, right.minor, right.micro)
  }

  /// The three numbers: `10.0.2`.
  public var description: String { "\(major).\(minor).\(micro)" }
}
