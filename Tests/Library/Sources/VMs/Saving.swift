import Foundation
import QEMUControl

/// Saves on a thread of its own. Where the task is cancelled the save ends, and the VM is as it was.
func save(_ save: VMSave, of socket: FilePath) async throws -> VMSaveReport {
  let cancellation = Cancellation()
  return try await withTaskCancellationHandler {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(
          with: Result {
            try save.run(QMPConnection(connecting: socket), cancellation: cancellation)
          })
      }
    }
  } onCancel: {
    cancellation.cancel()
  }
}

/// A save with the state of a device that QEMU does not save.
func saveWithDevice() -> VMSave {
  var save = VMSave(to: "vm.img")
  save.devices = [
    DeviceSource(DeviceIdentity("gpu0"), from: CommandStateSource("gpu-ctl save 0"))
  ]
  return save
}

/// What a VM is made of, and what a save would do.
func inspect(_ socket: FilePath) throws {
  let inspection = try VMInspection(of: QMPConnection(connecting: socket))
  print(inspection.vm.machineType, inspection.save.engine?.rawValue ?? "cannot be saved now")
}
