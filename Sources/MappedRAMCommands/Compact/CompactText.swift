import SystemPackage

/// What `mapped-ram compact` says at its end.
struct CompactReport: CommandReport {
  var image: FilePath
  /// Pages whose slots were made holes.
  var clearedPages: Int
  /// Bytes that the file takes less on the disk.
  var freedBytes: UInt64

  var text: String {
    guard clearedPages > 0 else { return "\(image): nothing to do\n" }
    return "\(image): freed \(NumberText.bytes(freedBytes)) in the slots of "
      + "\(NumberText.count(UInt64(clearedPages), "page"))\n"
  }

  var json: JSON {
    JSON(image: image.string, clearedPages: clearedPages, freedBytes: freedBytes)
  }

  /// ```json
  /// {
  ///   "clearedPages" : 508,
  ///   "command" : "compact",
  ///   "freedBytes" : 2080768,
  ///   "image" : "vm.img",
  ///   "schemaVersion" : 1,
  ///   "type" : "report"
  /// }
  /// ```
  struct JSON: Encodable {
    var type = "report"
    var schemaVersion = JSONText.schemaVersion
    var command = "compact"
    var image: String
    var clearedPages: Int
    var freedBytes: UInt64
  }
}
