/// Goes through XML and gives each element where it begins, with the text up to the next tag.
///
/// Enough for a few facts of a document that libvirt wrote. It knows comments, CDATA, processing instructions and the
/// five entities, checks nothing, and ends at the first thing that it does not understand. O(bytes).
struct XMLScanner {
  /// An element that has begun.
  struct Element: Equatable, Sendable {
    /// The names from the root to the element.
    var path: [String]
    /// Its attributes.
    var attributes: [String: String]
    /// The text between its tag and the next, without space around it.
    var text: String
  }

  private let bytes: [UInt8]
  private var position = 0
  private var open: [String] = []

  /// Elements nested deeper than this end the scan.
  private static let depthLimit = 64

  init(_ xml: some Sequence<UInt8>) { bytes = Array(xml) }

  /// The next element, or `nil` at the end.
  mutating func next() -> Element? {
    while let tag = find("<", from: position) {
      position = tag + 1
      if skipsMarkup() { continue }
      if peek() == UInt8(ascii: "/") {
        _ = open.popLast()
        continue
      }
      let name = readName()
      guard !name.isEmpty, open.count < Self.depthLimit else { return nil }
      guard let (attributes, isEmpty) = readAttributes() else { return nil }
      let path = open + [name]
      if !isEmpty { open = path }
      return Element(path: path, attributes: attributes, text: isEmpty ? "" : readText())
    }
    return nil
  }

  /// Passes over a comment, CDATA or a processing instruction. Whether there was one.
  private mutating func skipsMarkup() -> Bool {
    for (start, end) in [("!--", "-->"), ("![CDATA[", "]]>"), ("!", ">"), ("?", "?>")]
    where bytes[position...].starts(with: start.utf8) {
      position = find(end, from: position).map { $0 + end.utf8.count } ?? bytes.count
      return true
    }
    return false
  }

  private mutating func readName() -> String {
    let start = position
    while let byte = peek(), !Self.isSpace(byte), !"/>=<".utf8.contains(byte) { position += 1 }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  /// The attributes up to the end of the tag, and whether the element is empty.
  private mutating func readAttributes() -> ([String: String], Bool)? {
    var attributes: [String: String] = [:]
    while true {
      skipSpace()
      if peek() == UInt8(ascii: ">") {
        position += 1
        return (attributes, false)
      }
      if bytes[position...].starts(with: "/>".utf8) {
        position += 2
        return (attributes, true)
      }
      let name = readName()
      skipSpace()
      guard !name.isEmpty, peek() == UInt8(ascii: "=") else { return nil }
      position += 1
      skipSpace()
      guard let quote = peek(), quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\""),
        let end = bytes[(position + 1)...].firstIndex(of: quote)
      else { return nil }
      attributes[name] = Self.text(bytes[(position + 1)..<end])
      position = end + 1
    }
  }

  private mutating func readText() -> String {
    let end = find("<", from: position) ?? bytes.count
    defer { position = end }
    let isOutside: (UInt8) -> Bool = { !Self.isSpace($0) }
    let all = bytes[position..<end]
    guard let first = all.firstIndex(where: isOutside), let last = all.lastIndex(where: isOutside)
    else { return "" }
    return Self.text(all[first...last])
  }

  private static func text(_ bytes: ArraySlice<UInt8>) -> String {
    var text = String(decoding: bytes, as: UTF8.self)
    guard bytes.contains(UInt8(ascii: "&")) else { return text }
    // The ampersand last, so that nothing is taken for an entity twice.
    for (entity, character) in [
      ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&"),
    ] {
      text = text.split(separator: entity, omittingEmptySubsequences: false).joined(
        separator: character)
    }
    return text
  }

  private mutating func skipSpace() {
    while let byte = peek(), Self.isSpace(byte) { position += 1 }
  }

  private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

  private func find(_ pattern: String, from start: Int) -> Int? {
    let pattern = Array(pattern.utf8)
    var index = start
    while index + pattern.count <= bytes.count {
      guard let first = bytes[index...].firstIndex(of: pattern[0]) else { return nil }
      if bytes[first...].starts(with: pattern) { return first }
      index = first + 1
    }
    return nil
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || (0x09...0x0D).contains(byte)
  }
}
