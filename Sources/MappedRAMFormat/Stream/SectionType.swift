/// The byte that begins each part of a stream after its header.
///
/// Source: QEMU v10.0.2, `migration/qemu-file-types.h` and `migration/savevm.h`.
public enum SectionType: UInt8, CaseIterable, Sendable {
  case endOfStream = 0x00
  case start = 0x01
  case part = 0x02
  case end = 0x03
  case full = 0x04
  case subsection = 0x05
  case description = 0x06
  case configuration = 0x07
  case command = 0x08
  case footer = 0x7E

  /// The name that QEMU's documents use.
  public var name: String {
    switch self {
    case .endOfStream: "EOF"
    case .start: "START"
    case .part: "PART"
    case .end: "END"
    case .full: "FULL"
    case .subsection: "SUBSECTION"
    case .description: "VMDESCRIPTION"
    case .configuration: "CONFIGURATION"
    case .command: "COMMAND"
    case .footer: "FOOTER"
    }
  }
}

/// Which device a section belongs to.
public struct SectionIdentity: Hashable, Sendable {
  /// The device's name in the stream, 1 to 255 printable bytes.
  public var idstr: String
  /// Tells devices of one name apart.
  public var instanceID: UInt32
  /// The version of the device's state.
  public var version: UInt32

  /// An identity of its parts.
  public init(idstr: String, instanceID: UInt32, version: UInt32) {
    self.idstr = idstr
    self.instanceID = instanceID
    self.version = version
  }

  /// The only section with RAM: `ram`, instance 0, version 4.
  public static let ram = SectionIdentity(idstr: "ram", instanceID: 0, version: 4)
}
