import LinuxIO
import MappedRAM
import MappedRAMFormat
import QMP

extension VMSession {
  /// The device state of the VM, which is paused, or waits for an image. It has no device that cannot migrate.
  ///
  /// By `xen-save-devices-state`: about a millisecond, and nothing about the VM changes. Disks stay active (`live` is false), and locked:
  /// a migration, whose stream would have QEMU's own description, lets go of them.
  func readDeviceState() throws(VMError) -> DeviceStateStream {
    let file: File
    do throws(SystemCallError) {
      file = try File.inMemory(name: "device state", byteCount: 0)
    } catch {
      throw .system(error)
    }
    defer { takeBackFile() }
    try execute(.saveDeviceState(file: try lend(file, for: .writing)))
    do throws(ImageError) {
      return try DeviceStateStream(reading: file)
    } catch {
      throw .image(error)
    }
  }
}
