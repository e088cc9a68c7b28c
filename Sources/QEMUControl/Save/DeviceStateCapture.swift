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
    try handing(file) { (path) throws(VMError) in
      try talking { () throws(QMPError) in
        try connection.execute(.saveDeviceState(file: path))
      }
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
    try handing(file) { (path) throws(VMError) in
      try FileMigration(connection: connection).save(to: "file:\(path)", Progress(), cancellation)
    }
    try talking { () throws(QMPError) in try settings.restore(on: connection) }
    return try moving { () throws(ImageError) in try DeviceStateStream(reading: file) }
  }

  /// Lets QEMU write `file` under a name, for the time of `body`.
  private func handing(
    _ file: File, _ body: (String) throws(VMError) -> Void
  ) throws(VMError) {
    let set = try DescriptorSet(file, for: .writing, direct: false, to: connection, as: set)
    defer { set.remove() }
    try body(set.path)
  }
}
