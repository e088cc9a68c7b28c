import MappedRAM
import MappedRAMFormat
import SystemPackage

/// What `mapped-ram pack` says at its end.
struct PackReport: CommandReport {
  var image: FilePath
  var plan: SavePlan
  var report: TransferReport

  var text: String {
    let blocks = NumberText.count(UInt64(plan.blocks.count), "RAMBlock")
    return "Packed \(image): \(blocks), machine type "
      + "\(plan.prologue.configuration.machineType)\n\(report.text)"
  }

  var details: String { report.details }

  var json: JSON {
    JSON(
      image: image.string, machineType: plan.prologue.configuration.machineType,
      streamOffset: plan.layout.streamOffset.rawValue, layout: plan.slots.rawValue,
      fileSize: report.imageEnd.rawValue, hasChecksums: report.hasChecksums,
      blocks: plan.blocks.map(\.idstr), transfer: TransferJSON(report))
  }

  /// ```json
  /// {
  ///   "blocks" : [ "pc.ram", "vga.vram" ],
  ///   "command" : "pack",
  ///   "fileSize" : 17930461,
  ///   "hasChecksums" : false,
  ///   "image" : "vm.img",
  ///   "layout" : "1M",
  ///   "machineType" : "pc-q35-10.0",
  ///   "schemaVersion" : 1,
  ///   "streamOffset" : 0,
  ///   "transfer" : { … },
  ///   "type" : "report"
  /// }
  /// ```
  struct JSON: Encodable {
    var type = "report"
    var schemaVersion = JSONText.schemaVersion
    var command = "pack"
    var image: String
    var machineType: String
    var streamOffset: UInt64
    /// `1M` or `2M`.
    var layout: String
    /// Where the image ends.
    var fileSize: UInt64
    /// Whether the image has checksums of its contents.
    var hasChecksums: Bool
    var blocks: [String]
    var transfer: TransferJSON
  }
}
