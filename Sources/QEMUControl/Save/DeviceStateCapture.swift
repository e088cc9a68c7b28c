import LinuxIO
import MappedRAM
import MappedRAMFormat
import QMP

/// Takes the device state out of a VM that is paused.
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
    let set = try DescriptorSet(file, for: .writing, direct: false, to: connection, as: set)
    defer { set.remove() }
    try talking { () throws(QMPError) in
      try connection.execute(.saveDeviceState(file: set.path))
    }
    return try moving { () throws(ImageError) in try DeviceStateStream(reading: file) }
  }
}

extension VMSession {
  /// The device state of the VM, which is paused.
  ///
  /// - Throws: `cannotCapture` where it has got a device meanwhile that cannot migrate: QEMU 10.0.2 would not survive the command.
  func readDeviceState() throws(VMError) -> DeviceStateStream {
    let obstacles = try talking { () throws(QMPError) in try connection.captureObstacles() }
    guard obstacles.isEmpty else { throw .cannotCapture(obstacles) }
    let capture = DeviceStateCapture(connection: connection)
    note { $0.descriptorSet = capture.set.number }
    let state = try capture.read()
    note { $0.descriptorSet = nil }
    return state
  }
}
