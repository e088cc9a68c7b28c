import MappedRAMFormat

/// Where the device state of a captured VM came from.
public enum DeviceStateRoute: String, Equatable, Sendable {
  /// `xen-save-devices-state`; without a description by QEMU.
  case devicesOnly = "xen-save-devices-state"
  /// A migration without the shared RAM, with QEMU's own description.
  case migration = "x-ignore-shared"

  /// The route for a VM with this memory: QEMU's own description is worth a migration where that leaves the VM's RAM out, and
  /// where the VM goes on afterwards.
  init(of vm: RunningVM, with memory: GuestMemory, goesOn: Bool) {
    let isKnown = vm.capabilities[Configuration.ignoreSharedCapability] != nil
    self = goesOn && memory.isIgnoredByMigration && isKnown ? .migration : .devicesOnly
  }
}
