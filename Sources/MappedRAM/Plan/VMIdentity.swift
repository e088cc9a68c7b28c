import LinuxIO
import MappedRAMFormat

/// Which VM it is: what its QEMU, or an image of it, says of it. What is `nil` is not known.
package struct VMIdentity: Equatable, Sendable {
  /// The machine type as the CONFIGURATION section names it: `pc-q35-10.0`.
  package var machineType: String?
  /// What `-name` gave, or libvirt's domain is called.
  package var name: String?
  /// The UUID's 16 bytes in the order of its text; not zeros.
  package var uuid: [UInt8]?

  /// An identity of its parts.
  package init(machineType: String? = nil, name: String? = nil, uuid: [UInt8]? = nil) {
    self.machineType = machineType
    self.name = name
    self.uuid = uuid.flatMap { $0.allSatisfy { $0 == 0 } ? nil : $0 }
  }

  /// Whose image `file` is; nothing is known of one that cannot be read so far.
  ///
  /// Of the name only libvirt's images tell; of the UUID those too, and QEMU's with the capability `validate-uuid`.
  init(ofImage file: ImageFile, streamOffset: FileOffset?) throws(ImageError) {
    var reader = try ImageReader(file, streamOffset: streamOffset)
    self.init()
    do throws(ImageError) {
      _ = try reader.readContainer()
      if case .libvirt(let container) = reader.container {
        let domain = LibvirtDomain(xml: container.xml)
        (name, uuid) = (domain.name, domain.uuid.flatMap(UUIDText.parse))
      }
      let configuration = try reader.readPrologue().configuration
      machineType = configuration.machineType
      uuid = uuid ?? configuration.uuid
    } catch {
      // A damaged image is one to be replaced.
      guard case .format = error else { throw error }
    }
  }

  /// In what the two are known to differ, as a text for people: the other's, then this one's; empty where they may be the same.
  func differences(from other: VMIdentity) -> [String] {
    [
      Self.difference("machine type", other.machineType, machineType),
      Self.difference("name", other.name, name),
      Self.difference("UUID", other.uuid.map(UUIDText.format), uuid.map(UUIDText.format)),
    ].compactMap(\.self)
  }

  private static func difference(_ what: String, _ other: String?, _ own: String?) -> String? {
    guard let other, let own, other != own else { return nil }
    return "\(what) \"\(other)\", and not \"\(own)\""
  }
}

/// The version at the end of a machine type's name.
package struct MachineVersion: Comparable, Sendable {
  /// The first number: 10 in `pc-q35-10.0`.
  package var major: Int
  /// The second number.
  package var minor: Int

  /// A version of its parts.
  package init(major: Int, minor: Int) {
    self.major = major
    self.minor = minor
  }

  /// The version of `machineType`, or `nil` for one without, like `microvm`.
  package init?(of machineType: String) {
    guard let text = machineType.split(separator: "-").last else { return nil }
    let parts = text.split(separator: ".")
    guard parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1]) else { return nil }
    self.init(major: major, minor: minor)
  }

  /// Whether QEMU writes SWITCHOVER_START before RAM's END: from 10.0 on.
  package var announcesSwitchover: Bool { self >= MachineVersion(major: 10, minor: 0) }

  /// Whether `left` is older.
  package static func < (left: MachineVersion, right: MachineVersion) -> Bool {
    (left.major, left.minor) < (right.major, right.minor)
  }
}
