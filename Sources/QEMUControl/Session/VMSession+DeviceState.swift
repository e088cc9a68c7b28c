import LinuxIO
import MappedRAM
import MappedRAMFormat
import QMP

extension VMSession {
  /// Has QEMU write the device state of a VM that waits for an image, without waiting. It has no device that cannot migrate.
  ///
  /// - Parameter inherited: has the file, if QEMU has been started with one; otherwise it is lent, until `takeBackFile`.
  func askForDeviceState(
    in inherited: InheritedFiles?
  ) throws(VMError) -> (DeviceStateFile, SentCommand<Void>) {
    let file: DeviceStateFile
    if let inherited {
      file = DeviceStateFile(file: inherited.deviceState, name: inherited.path)
    } else {
      file = try lendDeviceStateFile()
    }
    return (file, try send(file.save))
  }

  /// Hands QEMU a file in memory, for the device state of a VM that is to be paused. `takeBackFile` takes it back.
  func lendDeviceStateFile() throws(VMError) -> DeviceStateFile {
    let file: File
    do throws(SystemCallError) {
      file = try File.inMemory(name: "device state", byteCount: 0)
    } catch {
      throw .system(error)
    }
    return DeviceStateFile(file: file, name: try lend(file, for: .writing))
  }

  /// Waits until the device state is in `file`, and reads it.
  ///
  /// - Parameter sent: `file.save`, which was sent.
  func read(
    _ file: DeviceStateFile, _ sent: SentCommand<Void>
  ) throws(VMError) -> DeviceStateStream {
    try answer(to: sent)
    do throws(ImageError) {
      return try DeviceStateStream(reading: file.file)
    } catch {
      throw .image(error)
    }
  }
}

/// A file in memory that QEMU has, for the device state.
struct DeviceStateFile {
  fileprivate let file: File
  fileprivate let name: String

  /// Has QEMU write the device state of a VM that is paused, and has no device that cannot migrate.
  ///
  /// By `xen-save-devices-state`: about a millisecond, and nothing about the VM changes. Disks stay active (`live` is false), and locked:
  /// a migration, whose stream would have QEMU's own description, lets go of them.
  var save: QMPCommand<Void> { .saveDeviceState(file: name) }
}
