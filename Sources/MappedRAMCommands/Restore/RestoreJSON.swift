import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUArguments
import QEMUControl
import SystemPackage

extension RestoreReport {
  var json: JSON {
    JSON(
      image: image.string, engine: report.engine.rawValue,
      engineReasons: report.engineReasons.map(\.finding), state: report.state,
      processID: report.processID, socket: socket?.string, log: log?.string,
      elapsedSeconds: report.elapsed.inSeconds,
      blocks: report.blocks.map {
        JSON.Block(idstr: $0.idstr, byteCount: $0.byteCount, way: $0.way.rawValue)
      }, notes: notes.map(\.finding), deviations: report.deviations.map(\.finding),
      disks: disks.map {
        JSON.Disk(name: $0.name, file: $0.file.string, overlay: $0.overlay.string)
      },
      devicesLeft: devicesLeft.map(\.description),
      transfer: report.transfer.map { TransferJSON($0) })
  }

  /// What programs get.
  struct JSON: Encodable {
    var type = "report"
    var schemaVersion = JSONText.schemaVersion
    var command = "restore"
    var image: String
    var engine: String
    /// Why QEMU loaded the image, where it was not asked to.
    var engineReasons: [Finding]
    var state: String
    @OrNull var processID: Int32?
    /// Of a QEMU that stays.
    @OrNull var socket: String?
    /// What a QEMU that stays has to say.
    @OrNull var log: String?
    var elapsedSeconds: Double
    var blocks: [Block]
    var notes: [Finding]
    /// What is otherwise than in the VM that the image is of.
    var deviations: [Finding]
    /// The disks of a clone, with the overlays that were made for it.
    var disks: [Disk]
    /// Devices whose states went nowhere.
    var devicesLeft: [String]
    /// `null` where our channels had nothing to do.
    @OrNull var transfer: TransferJSON?

    struct Disk: Encodable {
      var name: String
      var file: String
      var overlay: String
    }

    struct Block: Encodable {
      var idstr: String
      var byteCount: UInt64
      var way: String
    }
  }
}
