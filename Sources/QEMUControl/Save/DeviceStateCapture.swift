import LinuxIO
import MappedRAM
import MappedRAMFormat

/// Takes the device state out of a VM that stands still.
struct DeviceStateCapture {
  let connection: QMPConnection
  /// The number of the set that hands QEMU the file.
  var set = DescriptorSet.ID()

  /// By `xen-save-devices-state`: about a millisecond, and nothing about the VM changes. Disks stay active (`live` is false).
  func devicesOnly() throws(VMError) -> DeviceStateStream {
    let file = try system { () throws(SystemCallError) in
      try File.inMemory(name: "device state", byteCount: 0)
    }
    let set = try hand(over: file)
    defer { set.remove() }
    try talking { () throws(QMPError) in
      try connection.execute(.saveDeviceState(file: set.path))
    }
    return try moving { () throws(ImageError) in try DeviceStateStream(reading: file) }
  }

  /// By a migration that leaves shared RAM out, whose stream has QEMU's own description. The VM is in the state `postmigrate`
  /// afterwards, from which only `cont` leads back. Where this fails, the caller puts back what it has planned in `settings`.
  func migration(
    _ settings: MigrationSettings, _ cancellation: Cancellation
  ) throws(VMError) -> DeviceStateStream {
    let file = try system { () throws(SystemCallError) in
      try File.inMemory(name: "device state", byteCount: 0)
    }
    try talking { () throws(QMPError) in try settings.apply(on: connection) }
    try migrate(to: file, cancellation)
    try talking { () throws(QMPError) in try settings.restore(on: connection) }
    return try moving { () throws(ImageError) in try DeviceStateStream(reading: file) }
  }

  private func migrate(to file: File, _ cancellation: Cancellation) throws(VMError) {
    let set = try hand(over: file)
    defer { set.removeOnceClosed() }
    try FileMigration(connection: connection, path: file.path)
      .save(to: "file:\(set.path)", Progress(), cancellation)
  }

  /// Lets QEMU write `file` under a name.
  private func hand(over file: File) throws(VMError) -> DescriptorSet {
    try DescriptorSet(file, for: .writing, direct: false, to: connection, as: set)
  }
}
