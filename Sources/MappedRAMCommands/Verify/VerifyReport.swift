import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// What `mapped-ram verify` says at its end.
struct VerifyReport: CommandReport {
  var image: FilePath
  var outcome: ImageVerification.Outcome
  /// Whether nothing but the root is wanted on stdout.
  var isRoot = false

  var text: String { (isRoot && !outcome.isWhole ? found : "") + outcome.report.text }

  var details: String { outcome.report.details }

  var table: String {
    guard isRoot else { return found }
    return rootText.map { "\($0)\n" } ?? ""
  }

  private var rootText: String? {
    outcome.root.map { "\(SumsArea.algorithmName):\($0)" }
  }

  /// What is damaged, a line each, and the answer.
  private var found: String {
    let lines = outcome.damage.map { "damaged   \($0.description)\n" }
    return lines.joined() + "\(TerminalText.line(image.string)): \(answer)\n"
  }

  private var answer: String {
    let chunks = NumberText.count(UInt64(outcome.chunkCount), "chunk") + " of 64 KiB"
    guard outcome.hasSums else {
      return outcome.damage.isEmpty
        ? "its structure is right, but it has no checksums: whether its contents are cannot be told"
        : "damaged, and without checksums by which its contents could be told"
    }
    if outcome.isWhole { return "whole: \(chunks) and all device state are as they were saved" }
    return "damaged: \(outcome.damagedChunkCount) of \(chunks), "
      + (outcome.damage.contains(where: \.isOutsidePages)
        ? "and what is named above" : "device state whole")
  }

  var json: JSON {
    JSON(
      image: image.string, isWhole: outcome.isWhole, hasChecksums: outcome.hasSums,
      chunkCount: outcome.chunkCount, damagedChunkCount: outcome.damagedChunkCount,
      damage: outcome.damage.map { JSON.Damage($0) }, root: rootText,
      transfer: TransferJSON(outcome.report))
  }

  /// ```json
  /// {
  ///   "chunkCount" : 183501,
  ///   "command" : "verify",
  ///   "damage" : [
  ///     {
  ///       "device" : null, "firstPage" : 107504, "idstr" : "pc.ram", "kind" : "pages", "length" : 65536,
  ///       "message" : "RAMBlock \"pc.ram\": …", "offset" : 441385984, "pageCount" : 16
  ///     }
  ///   ],
  ///   "damagedChunkCount" : 1,
  ///   "hasChecksums" : true,
  ///   "image" : "vm.img",
  ///   "isWhole" : false,
  ///   "root" : null,
  ///   "schemaVersion" : 1,
  ///   "transfer" : { … },
  ///   "type" : "report"
  /// }
  /// ```
  struct JSON: Encodable {
    var type = "report"
    var schemaVersion = JSONText.schemaVersion
    var command = "verify"
    var image: String
    var isWhole: Bool
    var hasChecksums: Bool
    /// Chunks of RAM that were compared.
    var chunkCount: Int
    var damagedChunkCount: Int
    var damage: [Damage]
    /// The checksum of all contents, of an image that is whole.
    @OrNull var root: String?
    var transfer: TransferJSON

    struct Damage: Encodable {
      /// `pages`, `bitmap`, `checksums`, `stream`, `deviceBuffer`, `structure` or `otherImage`.
      var kind: String
      /// The RAMBlock.
      @OrNull var idstr: String?
      @OrNull var firstPage: Int?
      @OrNull var pageCount: Int?
      /// The device whose state it is.
      @OrNull var device: String?
      @OrNull var offset: UInt64?
      @OrNull var length: UInt64?
      /// The whole sentence.
      var message: String
    }
  }
}

extension VerifyReport.JSON.Damage {
  init(_ damage: ImageVerification.Damage) {
    message = damage.description
    offset = damage.place?.lowerBound.rawValue
    length = damage.place?.byteCount.rawValue
    switch damage {
    case .structure(let error):
      kind = "structure"
      offset = error.offset.rawValue
    case .pages(let name, let pages, _):
      kind = "pages"
      idstr = name
      firstPage = pages.lowerBound
      pageCount = pages.count
    case .bitmap(let name, _):
      kind = "bitmap"
      idstr = name
    case .entries(let name, _):
      kind = "checksums"
      idstr = name
    case .span(let name, _):
      kind = "stream"
      device = name
    case .buffer(let identity, _, _):
      kind = "deviceBuffer"
      device = identity.description
    case .foreignSums: kind = "otherImage"
    }
  }
}

extension ImageVerification.Damage {
  fileprivate var isOutsidePages: Bool { if case .pages = self { false } else { true } }
}
