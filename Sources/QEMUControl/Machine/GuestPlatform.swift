import MappedRAMFormat

/// What of an image's head follows from the guest's architecture and machine type.
///
/// QEMU tells neither over QMP. Source of the values: images that QEMU 10.0.2 wrote of each of these machines.
struct GuestPlatform: Equatable, Sendable {
  /// The size of the target's pages.
  let pageSize: PageSize
  /// Whether the CONFIGURATION section gives it: where it is not a constant of the architecture.
  let givesPageSize: Bool

  /// The platform of `architecture`, as QMP's `query-target` names it, with a machine type; `nil` where it is not known.
  init?(architecture: String, machineType: String) {
    switch architecture {
    case "x86_64", "i386", "riscv64", "riscv32":
      givesPageSize = false
    case "aarch64", "arm":
      // Boards of old processors have pages of 1 KiB.
      guard machineType == "virt" || machineType.hasPrefix("virt-") else { return nil }
      givesPageSize = true
    default:
      return nil
    }
    pageSize = .fourKiB
  }

  /// The CONFIGURATION section of a mapped-ram image.
  func configuration(machineType: String) -> Configuration {
    Configuration.mappedRAM(
      machineType: machineType, targetPageBits: givesPageSize ? UInt32(pageSize.shift) : nil)
  }
}
