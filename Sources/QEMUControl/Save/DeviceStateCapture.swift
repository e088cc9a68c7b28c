import LinuxIO
import MappedRAM
import MappedRAMFormat

/// Takes the device state out of a VM that stands still.
struct DeviceStateCapture {
  let connection: QMPConnection
  /// The number of the set that hands QEMU the file.
  var set = DescriptorSet.ID()

  /// By `xen-save-devices-state`: about a millisecond, and nothing about the VM changes. Disks stay active (`live` is false), and locked:
  /// a migration, whose stream would have QEMU's own description, lets go of them.
  func read() throws(VMError) -> DeviceStateStream {
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

  /// Lets QEMU write `file` under a name.
  private func hand(over file: File) throws(VMError) -> DescriptorSet {
    try DescriptorSet(file, for: .writing, direct: false, to: connection, as: set)
  }
}
