/// What tells the states of devices apart: QEMU's name of the device and its instance.
public struct DeviceIdentity: Hashable, Sendable {
  /// The name: printable ASCII, 1 to 255 bytes.
  public var idstr: String
  /// Which of the devices of that name.
  public var instanceID: UInt32

  /// An identity of its parts.
  public init(_ idstr: String, instanceID: UInt32 = 0) {
    self.idstr = idstr
    self.instanceID = instanceID
  }

  /// Whether the name is one that a file may have.
  public var isNameValid: Bool {
    (1...ImageLimits.nameBytes).contains(idstr.utf8.count)
      && idstr.utf8.allSatisfy { (0x20...0x7e).contains($0) }
  }
}

extension DeviceIdentity: CustomStringConvertible {
  /// The name; with the instance behind it unless that is 0.
  public var description: String { instanceID == 0 ? idstr : "\(idstr):\(instanceID)" }
}
