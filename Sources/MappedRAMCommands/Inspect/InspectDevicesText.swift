import MappedRAM
import MappedRAMFormat

/// The devices with all their fields, as an indented tree.
struct DevicesText {
  let output: (String) -> Void

  /// Writes all devices of `inspection`.
  func write(_ inspection: Inspection) {
    guard let devices = inspection.devices, !devices.isEmpty else {
      return output("There is no device state, or it cannot be found.\n")
    }
    if inspection.image.description == nil {
      output(
        "This image has no JSON description of the device state, so only the places of the devices are known.\n\n"
      )
    }
    for (index, device) in devices.enumerated() {
      if index > 0, inspection.image.description != nil { output("\n") }
      write(device)
    }
  }

  /// Writes one device.
  func write(_ device: DeviceFacts) {
    let identity = device.identity
    output(
      "\(identity.idstr), instance \(identity.instanceID), version \(identity.version): "
        + "\(device.body.byteCount) bytes at \(device.body.lowerBound)\n")
    switch device.outcome {
    case .notDescribed:
      output("  (not described)\n")
    case .tooLong:
      output("  (not decoded: too long)\n")
    case .decoded(let decoded):
      write(decoded.state, indent: 1)
      if let problem = decoded.problem {
        output("  ! The bytes and the description disagree: \(problem)\n")
      } else if decoded.state.range.upperBound != device.body.upperBound {
        let rest = device.body.upperBound - decoded.state.range.upperBound
        output("  ! \(rest) bytes at \(decoded.state.range.upperBound) are not described.\n")
      }
    }
  }

  private func write(_ state: DecodedState, indent: Int) {
    for field in state.fields {
      let index = field.index.map { "[\($0)]" } ?? ""
      write(field.value, label: field.name + index, type: field.type, indent: indent)
    }
    for subsection in state.subsections {
      line(indent, "subsection \(subsection.name), version \(subsection.version)")
      write(subsection, indent: indent + 1)
    }
  }

  private func write(_ value: DecodedValue, label: String, type: String, indent: Int) {
    switch value {
    case .structure(let state):
      line(indent, "\(label): \(state.name), version \(state.version)")
      write(state, indent: indent + 1)
    case .array(let elements):
      writeArray(elements, label: label, type: type, indent: indent)
    case .bytes(let bytes):
      writeBytes(bytes, label: label, type: type, indent: indent)
    default:
      line(indent, "\(label): \(Self.scalar(value) ?? "") (\(type))")
    }
  }

  private func line(_ indent: Int, _ text: String) {
    output(String(repeating: " ", count: 2 * indent) + text + "\n")
  }
}

extension DevicesText {
  /// Columns up to which values stand on one line.
  private static let width = 100

  private func writeArray(
    _ elements: [DecodedValue], label: String, type: String, indent: Int
  ) {
    let head = "\(label): \(NumberText.count(elements.count, "element")) (\(type))"
    guard elements.allSatisfy({ Self.scalar($0) != nil }) else {
      line(indent, head)
      for (index, element) in elements.enumerated() {
        write(element, label: "[\(index)]", type: type, indent: indent + 1)
      }
      return
    }
    line(indent, head)
    var text = ""
    for item in Self.folded(elements) {
      if !text.isEmpty, text.count + item.count + 2 > Self.width {
        line(indent + 1, text)
        text = ""
      }
      text += text.isEmpty ? item : ", \(item)"
    }
    if !text.isEmpty { line(indent + 1, text) }
  }

  /// The texts of scalars; more than three of the same become one with their number.
  private static func folded(_ elements: [DecodedValue]) -> [String] {
    var items: [String] = []
    var index = 0
    while index < elements.count {
      let element = elements[index]
      let end = elements[index...].firstIndex { $0 != element } ?? elements.count
      let text = scalar(element) ?? ""
      if end - index > 3 {
        items.append("\(text) x \(end - index)")
      } else {
        items += Array(repeating: text, count: end - index)
      }
      index = end
    }
    return items
  }

  /// The value on one line; `nil` where it has parts.
  static func scalar(_ value: DecodedValue) -> String? {
    switch value {
    case .unsigned(let number):
      number < 10 ? "\(number)" : "\(number) = 0x\(String(number, radix: 16))"
    case .signed(let number): "\(number)"
    case .bool(let flag): "\(flag)"
    case .absent: "null"
    case .bytes, .structure, .array: nil
    }
  }

  private static let bytesInLine = 32
  /// Lines of one buffer that are shown.
  private static let lineLimit = 128

  private func writeBytes(_ bytes: [UInt8], label: String, type: String, indent: Int) {
    let head = "\(label): "
    let tail = " (\(type))"
    if let text = DecodedValue.bytes(bytes).text {
      return line(indent, "\(head)\"\(text)\", \(NumberText.count(bytes.count, "byte"))\(tail)")
    }
    if bytes.count > 8, bytes.allSatisfy({ $0 == 0 }) {
      return line(indent, "\(head)\(bytes.count) zero bytes\(tail)")
    }
    if bytes.count <= Self.bytesInLine {
      return line(indent, head + (bytes.isEmpty ? "no bytes" : Self.hex(bytes[...])) + tail)
    }
    line(indent, "\(head)\(bytes.count) bytes\(tail)")
    writeDump(bytes, indent: indent + 1)
  }

  /// Writes lines of bytes; a star stands for lines like the one before.
  private func writeDump(_ bytes: [UInt8], indent: Int) {
    let width = String(bytes.count, radix: 16).count
    var before: ArraySlice<UInt8>?
    var isRepeating = false
    var lines = 0
    for start in stride(from: 0, to: bytes.count, by: Self.bytesInLine) {
      let part = bytes[start..<min(start + Self.bytesInLine, bytes.count)]
      if part == before {
        if !isRepeating { line(indent, "*") }
        isRepeating = true
        continue
      }
      guard lines < Self.lineLimit else {
        return line(indent, "... \(bytes.count - start) more bytes")
      }
      lines += 1
      isRepeating = false
      before = part
      let offset = String(start, radix: 16)
      line(
        indent, String(repeating: "0", count: width - offset.count) + "\(offset)  \(Self.hex(part))"
      )
    }
  }

  static func hex(_ bytes: ArraySlice<UInt8>) -> String {
    bytes.map { HexText.byte($0) }.joined(separator: " ")
  }
}

/// Bytes in hexadecimal.
enum HexText {
  /// Two digits.
  static func byte(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16)
  }

  /// Two digits for each byte, with nothing between them.
  static func packed(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(2 * bytes.count)
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}
