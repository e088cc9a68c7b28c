import LinuxIO
import MappedRAM
import MappedRAMFormat

/// Takes the device state out of a VM that stands still.
struct DeviceStateCapture {
  let connection: QMPConnection

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
  /// afterwards, from which only `cont` leads back.
  func migration(_ cancellation: Cancellation) throws(VMError) -> DeviceStateStream {
    let file = try system { () throws(SystemCallError) in
      try File.inMemory(name: "device state", byteCount: 0)
    }
    let settings = try talking { () throws(QMPError) in
      var settings = try MigrationSettings(of: connection)
      try settings.set(
        capabilities: [Configuration.ignoreSharedCapability],
        parameters: ["max-bandwidth": 0], on: connection)
      return settings
    }
    defer { try? settings.restore(on: connection) }
    try handing(file) { (path) throws(VMError) in
      try FileMigration(connection: connection).save(to: "file:\(path)", Progress(), cancellation)
    }
    return try moving { () throws(ImageError) in try DeviceStateStream(reading: file) }
  }

  /// Lets QEMU write `file` under a name, for the time of `body`.
  private func handing(
    _ file: File, _ body: (String) throws(VMError) -> Void
  ) throws(VMError) {
    let set = try DescriptorSet(file, for: .writing, direct: false, to: connection)
    defer { set.remove() }
    try body(set.path)
  }
}
