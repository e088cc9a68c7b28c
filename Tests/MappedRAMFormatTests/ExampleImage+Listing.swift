import MappedRAMFormat

/// A part of a file that has one meaning.
struct ExampleField {
  var width: Int
  var meaning: String

  init(_ width: Int, _ meaning: String) {
    self.width = width
    self.meaning = meaning
  }

  static func footer(_ id: Int) -> [ExampleField] {
    [ExampleField(1, "footer"), ExampleField(4, "section id \(id)")]
  }

  static func ramWord(_ type: String) -> [ExampleField] {
    [ExampleField(1, type), ExampleField(4, "section id 1"), ExampleField(8, "EOS")] + footer(1)
  }

  static func start(_ type: String, _ id: Int, idstr: Int, version: Int) -> [ExampleField] {
    [
      ExampleField(1, type), ExampleField(4, "section id \(id)"),
      ExampleField(1, "length of the idstr: \(idstr)"), ExampleField(idstr, "idstr"),
      ExampleField(4, "instance id 0"), ExampleField(4, "section version \(version)"),
    ]
  }

  static let head: [ExampleField] =
    [
      ExampleField(4, "magic"), ExampleField(4, "stream version 3"),
      ExampleField(1, "CONFIGURATION"), ExampleField(4, "length of the machine type: 4"),
      ExampleField(4, "machine type"), ExampleField(1, "subsection"),
      ExampleField(1, "length of its name: 26"), ExampleField(26, "name"),
      ExampleField(4, "subsection version 1"), ExampleField(4, "number of capabilities: 1"),
      ExampleField(1, "length of the name: 10"), ExampleField(10, "capability"),
    ] + start("START", 1, idstr: 3, version: 4) + [
      ExampleField(8, "total 0x2000, flag MEM_SIZE"),
      ExampleField(1, "length of the idstr: 4"), ExampleField(4, "idstr of the block"),
      ExampleField(8, "used length 0x2000: two pages"),
      ExampleField(4, "mapped-ram header: version 1"), ExampleField(8, "page size 4096"),
      ExampleField(8, "bitmap offset"), ExampleField(8, "pages offset"),
      ExampleField(8, "bitmap: page 1 is present"),
    ]

  static let tail: [ExampleField] =
    [ExampleField(8, "EOS: the end of the block list")] + footer(1)
    + ramWord("PART of \"ram\"")
    + [
      ExampleField(1, "COMMAND"), ExampleField(2, "command 11: SWITCHOVER_START"),
      ExampleField(2, "length 0"),
    ] + ramWord("END of \"ram\"")
    + start("FULL", 0, idstr: 5, version: 2) + [
      ExampleField(8, "body: cpu_ticks_offset"), ExampleField(8, "unused"),
      ExampleField(8, "cpu_clock_offset"),
    ] + footer(0)
    + start("FULL", 3, idstr: 11, version: 1) + [
      ExampleField(4, "body: size 10"), ExampleField(32, "runstate"),
      ExampleField(1, "has_vm_was_suspended"), ExampleField(1, "vm_was_suspended"),
      ExampleField(66, "unused"),
    ] + footer(3) + [
      ExampleField(1, "EOF"), ExampleField(1, "VMDESCRIPTION"),
      ExampleField(4, "length of the text: 1024"),
      ExampleField(1024, "the description, one line"),
    ]
}

extension ExampleImage {
  /// The lines that FORMAT.md shows between its marks.
  func listing() -> [String] {
    let block = layout.blocks[0]
    guard let bitmap = block.bitmap, let pages = block.pages else { return [] }
    let secondSlot = pages.lowerBound + ByteCount(Self.pageSize.byteCount)
    let gap = pages.lowerBound - bitmap.upperBound
    var lines = Self.list(head, as: ExampleField.head, at: .zero)
    lines.append(
      Self.line(bitmap.upperBound, "(hole)", "", "to the pages offset: \(gap) bytes"))
    lines.append(
      Self.line(
        pages.lowerBound, "(hole)", "", "slot of page 0, absent: \(Self.pageSize) bytes"))
    lines += Self.list(
      page, as: [ExampleField(page.count, "slot of page 1: \(page.count) bytes of a5")],
      at: secondSlot)
    lines += Self.list(tail, as: ExampleField.tail, at: layout.listEnd)
    let end = layout.listEnd + ByteCount(tail.count)
    lines.append("\(Self.hex(end.rawValue, digits: 6)): end of the file")
    return lines
  }

  /// Lists `bytes`, which stand at `offset`, field by field. Bytes that no field names are listed as such.
  private static func list(
    _ bytes: [UInt8], as fields: [ExampleField], at offset: FileOffset
  ) -> [String] {
    var lines: [String] = []
    var rest = bytes[...]
    for field in fields {
      let place = offset + ByteCount(bytes.count - rest.count)
      let value = rest.prefix(field.width)
      rest = rest.dropFirst(field.width)
      lines += list(value, meaning: field.meaning, at: place)
    }
    if !rest.isEmpty { lines.append("\(rest.count) bytes without a meaning") }
    return lines
  }

  private static func list(
    _ value: ArraySlice<UInt8>, meaning: String, at place: FileOffset
  ) -> [String] {
    let shown = value.count > 32 ? value.prefix(16) : value
    var lines: [String] = []
    for start in stride(from: 0, to: shown.count, by: 8) {
      let bytes = shown.dropFirst(start).prefix(8)
      lines.append(
        line(
          place + ByteCount(start), bytes.map { hex(UInt64($0), digits: 2) }.joined(separator: " "),
          String(bytes.map { (0x20...0x7E).contains($0) ? Character(Unicode.Scalar($0)) : "." }),
          start == 0 ? meaning : ""))
    }
    if shown.count < value.count { lines.append("        ...") }
    return lines
  }

  private static func line(
    _ place: FileOffset, _ bytes: String, _ text: String, _ meaning: String
  ) -> String {
    let start = "\(hex(place.rawValue, digits: 6)): \(padded(bytes, 23)) | "
    return meaning.isEmpty ? start + text : start + "\(padded(text, 8))  \(meaning)"
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  private static func hex(_ value: UInt64, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }
}
