/// The version at the end of a machine type's name.
public struct MachineVersion: Comparable, Sendable {
  /// The first number: 10 in `pc-q35-10.0`.
  public var major: Int
  /// The second number.
  public var minor: Int

  /// A version of its parts.
  public init(major: Int, minor: Int) {
    self.major = major
    self.minor = minor
  }

  /// The version of `machineType`, or `nil` for one without, like `microvm`.
  public init?(of machineType: String) {
    guard let text = machineType.split(separator: "-").last else { return nil }
    let parts = text.split(separator: ".")
    guard parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1]) else { return nil }
    self.init(major: major, minor: minor)
  }

  /// Whether QEMU writes SWITCHOVER_START before RAM's END: from 10.0 on.
  public var announcesSwitchover: Bool { self >= MachineVersion(major: 10, minor: 0) }

  /// Whether `left` is older.
  public static func < (left: MachineVersion, right: MachineVersion) -> Bool {
    (left.major, left.minor) < (right.major, right.minor)
  }
}
