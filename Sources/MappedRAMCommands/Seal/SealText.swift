import MappedRAM
import SystemPackage

/// What `mapped-ram seal` says at its end.
struct SealReport: CommandReport {
  var image: FilePath
  /// What has the checksums, where that is a copy.
  var copy: FilePath?
  /// What it took; `nil` where the image had checksums already, and no copy was wanted.
  var report: TransferReport?

  var text: String {
    let name = TerminalText.line((copy ?? image).string)
    guard let report else {
      return "\(TerminalText.line(image.string)): it has checksums already; nothing was written\n"
    }
    return "Sealed \(name)\(copy == nil ? "" : ", a copy of \(TerminalText.line(image.string))")\n"
      + report.text
  }

  var details: String { report?.details ?? "" }

  var json: JSON {
    JSON(
      image: image.string, copy: copy?.string, isSealed: report != nil,
      fileSize: report?.imageEnd.rawValue, transfer: report.map { TransferJSON($0) })
  }

  /// ```json
  /// {
  ///   "command" : "seal",
  ///   "copy" : null,
  ///   "fileSize" : 17938773,
  ///   "image" : "vm.img",
  ///   "isSealed" : true,
  ///   "schemaVersion" : 1,
  ///   "transfer" : { … },
  ///   "type" : "report"
  /// }
  /// ```
  struct JSON: Encodable {
    var type = "report"
    var schemaVersion = JSONText.schemaVersion
    var command = "seal"
    var image: String
    /// The copy that has the checksums; null where the image has them itself.
    @OrNull var copy: String?
    /// Whether checksums were written: false where the image had some.
    var isSealed: Bool
    /// Where the image, or the copy, ends; null where nothing was written.
    @OrNull var fileSize: UInt64?
    /// Null where nothing was written.
    @OrNull var transfer: TransferJSON?
  }
}
