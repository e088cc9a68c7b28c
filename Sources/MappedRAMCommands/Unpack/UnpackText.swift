import MappedRAM
import SystemPackage

/// What `mapped-ram unpack` says at its end.
struct UnpackReport: CommandReport {
  var image: FilePath
  var directory: FilePath
  var outcome: DirectoryRestore.Outcome

  var text: String {
    var text = "Unpacked \(image) to \(directory): "
    text += "\(NumberText.count(UInt64(outcome.files.count), "file"))\n\(outcome.report.text)"
    if outcome.droppedPrefixBytes > 0 {
      text +=
        "  Note: the \(outcome.droppedPrefixBytes) bytes before the stream are too many to be kept.\n"
    }
    return text
  }

  var details: String { outcome.report.details }

  var json: JSON {
    JSON(
      image: image.string, directory: directory.string, files: outcome.files,
      droppedPrefixBytes: outcome.droppedPrefixBytes, transfer: TransferJSON(outcome.report))
  }

  /// ```json
  /// {
  ///   "command" : "unpack",
  ///   "directory" : "vm",
  ///   "droppedPrefixBytes" : 0,
  ///   "files" : [ "pc.ram.ram", "vmstate.bin", "image.json" ],
  ///   "image" : "vm.img",
  ///   "schemaVersion" : 1,
  ///   "transfer" : { … },
  ///   "type" : "report"
  /// }
  /// ```
  struct JSON: Encodable {
    var type = "report"
    var schemaVersion = JSONText.schemaVersion
    var command = "unpack"
    var image: String
    var directory: String
    /// In the order in which they appeared.
    var files: [String]
    var droppedPrefixBytes: UInt64
    var transfer: TransferJSON
  }
}
