/// What the XML that libvirt keeps with an image says of the VM.
package struct LibvirtDomain: Equatable, Sendable {
  /// The domain's name.
  package var name: String?
  /// The domain's UUID.
  package var uuid: String?
  /// The kind of hypervisor: `kvm`, `qemu`.
  package var type: String?
  /// The architecture and machine type of the guest.
  package var architecture: String?
  package var machine: String?
  /// Memory at start.
  package var memoryBytes: UInt64?
  /// Processors.
  package var vcpus: Int?

  /// Bytes of the XML that are looked at: what is wanted stands near the beginning.
  private static let byteLimit = 1 << 20

  /// The summary of a domain's XML; what cannot be found is `nil`.
  package init(xml: String) {
    var scanner = XMLScanner(xml.utf8.prefix(Self.byteLimit))
    while let element = scanner.next() {
      switch element.path {
      case ["domain"]: type = type ?? element.attributes["type"]
      case ["domain", "name"]: name = name ?? element.text
      case ["domain", "uuid"]: uuid = uuid ?? element.text
      case ["domain", "memory"]:
        memoryBytes = memoryBytes ?? Self.bytes(element.text, unit: element.attributes["unit"])
      case ["domain", "vcpu"]: vcpus = vcpus ?? Int(element.text)
      case ["domain", "os", "type"]:
        architecture = architecture ?? element.attributes["arch"]
        machine = machine ?? element.attributes["machine"]
      default: break
      }
    }
  }

  /// The bytes in `text` units. KiB without a unit (libvirt's formatdomain).
  private static func bytes(_ text: String, unit: String?) -> UInt64? {
    guard let number = UInt64(text), let factor = factors[unit ?? "KiB"] else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: factor)
    return overflow ? nil : product
  }

  private static let factors: [String: UInt64] = [
    "b": 1, "bytes": 1, "KB": 1000, "k": 1 << 10, "KiB": 1 << 10, "MB": 1_000_000, "M": 1 << 20,
    "MiB": 1 << 20, "GB": 1_000_000_000, "G": 1 << 30, "GiB": 1 << 30, "TB": 1_000_000_000_000,
    "T": 1 << 40, "TiB": 1 << 40,
  ]
}
