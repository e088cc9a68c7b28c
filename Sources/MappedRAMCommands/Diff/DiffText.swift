import MappedRAM
import MappedRAMFormat
import SystemPackage

/// What `mapped-ram diff` says at its end.
struct DiffReport: CommandReport {
  var first: FilePath
  var second: FilePath
  var outcome: ImageComparison.Outcome
  var showsMap = false
  /// Columns of the terminal.
  var width = 80
  /// Whether the second is a VM.
  var isVM = false
  /// How long the VM was paused; `nil` for one that was paused before.
  var pause: Duration?

  var text: String {
    (pause.map { "  Paused for \(NumberText.shortDuration($0))\n" } ?? "")
      + outcome.remarks.map { "  Note: \($0.description)\n" }.joined() + outcome.report.text
  }

  var details: String { outcome.report.details }

  /// Ranges of pages of a block that are shown.
  private static let rangeLimit = 8
  /// Fields of a device that are shown.
  private static let fieldLimit = 16

  var table: String {
    var text = ""
    if outcome.hasOtherMachineType {
      let types = outcome.machineTypes
      text += "machine type: \(types.first) -> \(types.second)\n"
    }
    for block in outcome.blocks { text += Self.text(of: block) }
    for device in outcome.devices { text += Self.text(of: device) }
    for device in outcome.buffers {
      let name = "state of device \"\(device.identity)\" behind the stream"
      text += "\(name): \(device.difference.text)\n"
    }
    if showsMap { text += map }
    return text + answer
  }

  private var answer: String {
    let names = "\(TerminalText.line(first.string)) and \(TerminalText.line(second.string))"
    guard !outcome.isEqual else { return "\(names) are equal\n" }
    let blocks = outcome.blocks.filter(\.outcome.isDifference)
    let pages = blocks.compactMap(\.differences)
    let bytes = pages.reduce(UInt64(0)) {
      $0 + UInt64($1.count) * UInt64($1.pageSize.byteCount)
    }
    var parts: [String] = []
    if !blocks.isEmpty {
      let size = pages.isEmpty ? "" : " (\(NumberText.bytes(bytes)))"
      parts.append(NumberText.count(UInt64(blocks.count), "RAMBlock") + size)
    }
    let devices = outcome.devices.count + outcome.buffers.count
    if devices > 0 { parts.append(NumberText.count(UInt64(devices), "device")) }
    if outcome.hasOtherMachineType { parts.append("the machine type") }
    return "\(names) differ: \(parts.joined(separator: ", "))\n"
  }

  private static func text(of block: BlockComparison) -> String {
    let name = "RAMBlock \"\(block.idstr)\""
    switch block.outcome {
    case .onlyInFirst: return "\(name): only in the first image\n"
    case .onlyInSecond: return "\(name): only in the second image\n"
    case .shape(let first, let second):
      return "\(name): \(shape(first)) -> \(shape(second)); its pages were not compared\n"
    case .ignored(let inFirst):
      return "\(name): its pages are not in the \(inFirst ? "first" : "second") image\n"
    case .notThere: return "\(name): its pages are in neither image\n"
    case .compared(let pages):
      guard pages.count > 0 else { return "" }
      let (ranges, count) = pages.ranges(limit: rangeLimit)
      let number = NumberText.count(pages.pageCount, "page")
      let what =
        pages.isByChunks
        ? "are in chunks of 64 KiB that differ" : pages.count == 1 ? "differs" : "differ"
      var text = "\(name): \(pages.count) of \(number) \(what), "
      text += "in \(NumberText.count(count, "range"))\n"
      for range in ranges {
        let bytes = UInt64(range.count) * UInt64(pages.pageSize.byteCount)
        let (first, last) = (hex(range.lowerBound), hex(range.upperBound - 1))
        text += "  \(first) to \(last) (\(NumberText.bytes(bytes)))\n"
      }
      if count > ranges.count {
        text += "  and \(NumberText.count(count - ranges.count, "more range"))\n"
      }
      return text
    }
  }

  private static func shape(_ block: RAMBlock) -> String {
    "\(NumberText.bytes(block.usedLength.rawValue)) in pages of \(block.pageSize) bytes"
  }

  private static func text(of device: DeviceComparison) -> String {
    let name = "device \"\(device.identity)\""
    switch device.difference {
    case .onlyInFirst: return "\(name): only in the first image\n"
    case .onlyInSecond: return "\(name): only in the second image\n"
    case .version(let first, let second): return "\(name): version \(first) -> \(second)\n"
    case .state(let state):
      let lengths =
        state.firstByteCount == state.secondByteCount
        ? "\(state.firstByteCount) bytes"
        : "\(state.firstByteCount) -> \(state.secondByteCount) bytes"
      guard let fields = state.fields else {
        return "\(name): state (\(lengths)), from byte \(state.firstDifference) on\n"
      }
      var text = "\(name): state (\(lengths))\n"
      for field in fields.prefix(fieldLimit) { text += "  \(field.path): \(field.text)\n" }
      let more = fields.count + state.fieldsOmitted - fieldLimit
      if more > 0 { text += "  and \(NumberText.count(more, "more field"))\n" }
      return text
    }
  }

  private static func hex(_ number: Int) -> String { "0x" + String(number, radix: 16) }

  /// A map of each block that differs.
  private var map: String {
    var text = "\n" + PageMapText.differencesLegend
    for block in outcome.blocks {
      guard let pages = block.differences, pages.count > 0 else { continue }
      PageMapText.writeDifferences(pages, of: block.idstr, width: width) { text += $0 }
    }
    return text + "\n"
  }
}

extension BlockComparison {
  /// The pages that differ, where pages were compared.
  var differences: PageDifferences? {
    if case .compared(let pages) = outcome { pages } else { nil }
  }
}

extension BufferComparison.Difference {
  fileprivate var text: String {
    switch self {
    case .onlyInFirst: "only in the first image"
    case .onlyInSecond: "only in the second image"
    case .buffers(let numbers):
      "\(NumberText.count(numbers.count, "buffer")), the first is number \(numbers[0])"
    }
  }
}

extension DeviceComparison.FieldDifference {
  /// Bytes that are shown of longer ones.
  private static let byteLimit = 16

  /// Both values on a line.
  fileprivate var text: String {
    // Where both are long, what they do not have in common.
    if case .bytes(let bytes)? = first, case .bytes(let others)? = second,
      first?.text == nil || second?.text == nil, max(bytes.count, others.count) > Self.byteLimit
    {
      let same = zip(bytes, others).prefix { $0 == $1 }.count
      let lengths =
        bytes.count == others.count ? "\(bytes.count)" : "\(bytes.count) -> \(others.count)"
      return "\(lengths) bytes, from byte \(same) on: "
        + "\(Self.part(bytes, same)) -> \(Self.part(others, same))"
    }
    return "\(Self.text(of: first)) -> \(Self.text(of: second))"
  }

  private static func part(_ bytes: [UInt8], _ start: Int) -> String {
    let shown = bytes[min(start, bytes.count)...].prefix(8)
    return shown.isEmpty ? "nothing" : DevicesText.hex(shown)
  }

  private static func text(of value: DecodedValue?) -> String {
    guard let value else { return "not there" }
    if let text = value.text { return "\"\(text)\"" }
    switch value {
    case .bytes(let bytes):
      return bytes.isEmpty ? "no bytes" : DevicesText.hex(bytes.prefix(byteLimit))
    case .structure(let state): return state.name
    case .array(let elements): return NumberText.count(elements.count, "element")
    default: return DevicesText.scalar(value) ?? ""
    }
  }
}
