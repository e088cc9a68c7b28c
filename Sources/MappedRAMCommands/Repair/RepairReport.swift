import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// What `mapped-ram repair` says at its end.
struct RepairReport: CommandReport {
  var image: FilePath
  var outcome: ImageRepair.Outcome

  var text: String { outcome.verification.report.text }

  var details: String { outcome.verification.report.details }

  /// What was put back and what stays damaged, a line each, and the answer.
  var table: String {
    let lines =
      outcome.repaired.map { "repaired  \($0.sentence)\n" }
      + outcome.verification.damage.map { "damaged   \($0.description)\n" }
    return lines.joined() + "\(TerminalText.line(image.string)): \(answer)\n"
  }

  private var answer: String {
    let checked = outcome.verification
    if checked.isWhole {
      return outcome.repaired.isEmpty ? "whole: there was nothing to repair" : "whole again"
    }
    if !checked.hasSums {
      return
        "damaged: its checksums cannot be read, and none of the others has them for this image, so what is right cannot be told"
    }
    let chunks =
      checked.damagedChunkCount > 0
      ? " (\(NumberText.count(checked.damagedChunkCount, "chunk")) of 64 KiB of pages)" : ""
    return "damaged: what is named above\(chunks) is in none of the others"
  }

  var json: JSON {
    let checked = outcome.verification
    return JSON(
      image: image.string, isWhole: checked.isWhole, hasChecksums: checked.hasSums,
      repaired: outcome.repaired.map { JSON.Repaired($0) },
      remaining: checked.damage.map { VerifyReport.JSON.Damage($0) },
      remainingChunkCount: checked.damagedChunkCount,
      root: checked.root.map { "\(SumsArea.algorithmName):\($0)" },
      transfer: TransferJSON(checked.report))
  }

  /// ```json
  /// {
  ///   "command" : "repair",
  ///   "hasChecksums" : true,
  ///   "image" : "vm.img",
  ///   "isWhole" : true,
  ///   "remaining" : [ ],
  ///   "remainingChunkCount" : 0,
  ///   "repaired" : [
  ///     {
  ///       "device" : null, "firstPage" : 107506, "from" : "copy.img", "idstr" : "pc.ram", "kind" : "pages", "length" : 4096,
  ///       "message" : "RAMBlock \"pc.ram\": …", "offset" : 441394176, "pageCount" : 1
  ///     }
  ///   ],
  ///   "root" : "xxh3-128:…",
  ///   "schemaVersion" : 1,
  ///   "transfer" : { … },
  ///   "type" : "report"
  /// }
  /// ```
  struct JSON: Encodable {
    var type = "report"
    var schemaVersion = JSONText.schemaVersion
    var command = "repair"
    var image: String
    var isWhole: Bool
    var hasChecksums: Bool
    var repaired: [Repaired]
    /// What stays damaged, as `verify` has it.
    var remaining: [VerifyReport.JSON.Damage]
    var remainingChunkCount: Int
    /// The checksum of all contents, of an image that is whole now.
    @OrNull var root: String?
    /// Of the last check.
    var transfer: TransferJSON

    struct Repaired: Encodable {
      /// `pages`, `bitmap`, `checksums`, `stream`, `deviceBuffer`, `areaHeader`, `areaTable` or `closing`.
      var kind: String
      /// The RAMBlock.
      @OrNull var idstr: String?
      @OrNull var firstPage: Int?
      @OrNull var pageCount: Int?
      /// The device whose state it is.
      @OrNull var device: String?
      var offset: UInt64
      var length: UInt64
      /// Where it is from; `null` where the image itself had all that was needed.
      @OrNull var from: String?
      /// The whole sentence.
      var message: String
    }
  }
}

extension RepairReport.JSON.Repaired {
  init(_ repaired: ImageRepair.Repaired) {
    kind = repaired.part.kind
    offset = repaired.range.lowerBound.rawValue
    length = repaired.range.byteCount.rawValue
    from = repaired.source?.string
    message = repaired.sentence
    switch repaired.part {
    case .pages(let name, let pages):
      idstr = name
      firstPage = pages.lowerBound
      pageCount = pages.count
    case .bitmap(let name), .entries(let name): idstr = name
    case .span(let name): device = name
    case .buffer(let identity, _): device = identity.description
    case .areaHeader, .areaTable, .closing: break
    }
  }
}

extension ImageRepair.Part {
  fileprivate var kind: String {
    switch self {
    case .pages: "pages"
    case .bitmap: "bitmap"
    case .entries: "checksums"
    case .span: "stream"
    case .buffer: "deviceBuffer"
    case .areaHeader: "areaHeader"
    case .areaTable: "areaTable"
    case .closing: "closing"
    }
  }

  fileprivate var text: String {
    switch self {
    case .pages(let idstr, let pages):
      "RAMBlock \"\(idstr)\": pages 0x\(String(pages.lowerBound, radix: 16)) to 0x\(String(pages.upperBound - 1, radix: 16))"
    case .bitmap(let idstr): "RAMBlock \"\(idstr)\": page bitmap"
    case .entries(let idstr): "RAMBlock \"\(idstr)\": checksums"
    case .span(let device?): "state of device \"\(device)\""
    case .span(nil): "stream (headers, or what is between devices)"
    case .buffer(let device, let number):
      "state of device \"\(device)\" behind the stream: buffer \(number)"
    case .areaHeader(let kind): "header of area \(kind)"
    case .areaTable(let kind): "table of area \(kind)"
    case .closing: "what closes the areas"
    }
  }
}

extension ImageRepair.Repaired {
  /// What was put back, where, and where it is from.
  fileprivate var sentence: String {
    "\(part.text), \(range.lowerBound) to \(range.upperBound) of the file, "
      + (source.map { "from \(TerminalText.line($0.string))" } ?? "made anew")
  }
}
