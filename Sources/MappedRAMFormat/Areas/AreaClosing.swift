/// What stands behind the last area.
///
/// | bytes | |
/// | --- | --- |
/// | 5 + n | a copy of the VMDESCRIPTION section, if the stream has one |
/// | 35 | the line |
///
/// QEMU's `scripts/analyze-migration.py` looks for the description at the end of the file: behind the last zero byte it takes the first
/// brace, and expects 0x06 five bytes before. So nothing here has a zero byte or a brace but for the copy.
package struct AreaClosing: Equatable, Sendable {
  /// Where the first area begins.
  package var firstArea: FileOffset
  /// The text of the stream's description.
  package var text: [UInt8]?

  /// What closes the areas that begin at `firstArea`.
  package init(firstArea: FileOffset, text: [UInt8]?) {
    self.firstArea = firstArea
    self.text = text
  }

  /// Appends the bytes.
  package func encode(into output: inout ByteOutput) {
    if let text {
      let spaces = Self.spaces(behind: text.count)
      output.writeBigEndian(SectionType.description.rawValue)
      output.writeBigEndian(UInt32(text.count + spaces))
      output.write(text)
      output.write(Array(repeating: UInt8(ascii: " "), count: spaces))
    }
    AreaLine(firstArea: firstArea).encode(into: &output)
  }

  /// How many spaces stand behind a text of `count` bytes, so that no byte of its length is a brace.
  private static func spaces(behind count: Int) -> Int {
    var length = UInt32(count)
    func hasBrace(_ length: UInt32) -> Bool {
      stride(from: 0, to: 32, by: 8).contains {
        UInt8(truncatingIfNeeded: length >> UInt32($0)) == UInt8(ascii: "{")
      }
    }
    while hasBrace(length) { length += 1 }
    return Int(length) - count
  }

  /// Whether `copy` is that of `text`: the same, with spaces behind it or none.
  package static func isCopy(_ copy: [UInt8], of text: [UInt8]) -> Bool {
    copy.starts(with: text) && copy.dropFirst(text.count).allSatisfy { $0 == UInt8(ascii: " ") }
  }
}

/// The last bytes of a file with areas, 35 of them: `mapped-ram areas` and the offset of the first area in 16 lower-case hexadecimal
/// digits, with a line feed before and behind.
package struct AreaLine: Equatable, Sendable {
  /// Where the first area begins.
  package var firstArea: FileOffset

  /// Bytes in a line.
  package static let byteCount = 35
  private static let text = Array("\nmapped-ram areas ".utf8)

  /// The line of areas that begin at `firstArea`.
  package init(firstArea: FileOffset) { self.firstArea = firstArea }

  /// Reads a line; `nil` where there is none.
  package init?(parsing input: inout ByteInput) {
    guard input.remaining >= Self.byteCount,
      Self.text.indices.allSatisfy({ input.peek($0) == Self.text[$0] }),
      input.peek(Self.byteCount - 1) == UInt8(ascii: "\n")
    else { return nil }
    var value: UInt64 = 0
    for place in Self.text.count..<(Self.byteCount - 1) {
      guard let digit = input.peek(place).flatMap(Self.value(ofDigit:)) else { return nil }
      value = value << 4 | digit
    }
    firstArea = FileOffset(value)
    do throws(FormatError) {
      try input.skip(Self.byteCount, in: .areas)
    } catch {
      return nil
    }
  }

  private static func value(ofDigit byte: UInt8) -> UInt64? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
    default: nil
    }
  }

  /// Appends the line.
  package func encode(into output: inout ByteOutput) {
    let digits = String(firstArea.rawValue, radix: 16)
    output.write(Self.text)
    output.write(String(repeating: "0", count: 16 - digits.count).utf8)
    output.write(digits.utf8)
    output.write([UInt8(ascii: "\n")])
  }
}
