/// A device's state, taken apart into fields.
package struct DecodedDevice: Equatable, Sendable {
  /// What was decoded: all, or what stands before the problem.
  package var state: DecodedState
  /// Why decoding stopped early: the bytes and the description disagree, or the bytes end. `nil` if all was decoded.
  package var problem: FormatError?
}

/// A state, taken apart into fields.
package struct DecodedState: Equatable, Sendable {
  /// QEMU's name for the form of the state.
  package var name: String
  /// The version of the state.
  package var version: Int32
  /// The fields in file order.
  package var fields: [DecodedField]
  /// The subsections in file order.
  package var subsections: [DecodedState]
  /// Where the state stands in the file; of a subsection, its head included.
  package var range: Range<FileOffset>
}

/// A field and its value.
package struct DecodedField: Equatable, Sendable {
  /// The field's name in QEMU's source, with `[k]` behind it where fields of a state share a name.
  package var name: String
  /// Which element this is, of an array whose elements are listed one by one.
  package var index: UInt64?
  /// QEMU's name for the way the field is coded.
  package var type: String
  /// What the field holds.
  package var value: DecodedValue
  /// Where the field stands in the file.
  package var range: Range<FileOffset>
}

/// What a field holds.
package enum DecodedValue: Equatable, Sendable {
  case unsigned(UInt64)
  case signed(Int64)
  case bool(Bool)
  /// Bytes without a known meaning: a buffer, or a type that is coded in a way of its own.
  case bytes([UInt8])
  indirect case structure(DecodedState)
  /// The elements have equal sizes.
  case array([DecodedValue])
  /// A null pointer.
  case absent

  /// The text in `bytes`, if they are printable ASCII with nothing but zeros behind it: the run state, for one.
  package var text: String? {
    guard case .bytes(let bytes) = self else { return nil }
    let text = bytes.prefix { $0 != 0 }
    guard !text.isEmpty, text.allSatisfy({ (0x20...0x7e).contains($0) }),
      bytes[text.endIndex...].allSatisfy({ $0 == 0 })
    else { return nil }
    return String(decoding: text, as: UTF8.self)
  }
}
