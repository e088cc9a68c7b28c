/// A value of JSON (RFC 8259), as QEMU writes it into the device description and over QMP.
///
/// Objects keep the order of their members and members of the same name: QEMU repeats the keys of a list's
/// elements within one object (source: QEMU v10.0.2, `migration/vmstate-types.c`, `put_qtailq`).
public enum JSONValue: Equatable, Sendable {
  case object([Member])
  case array([JSONValue])
  case string(String)
  /// A number without fraction or exponent that an `Int64` holds.
  case integer(Int64)
  /// A number without fraction or exponent above `Int64.max`.
  case unsigned(UInt64)
  /// A number with a fraction or an exponent, rounded to the nearest `Double`.
  case number(Double)
  case bool(Bool)
  case null

  /// A name in an object, and its value.
  public struct Member: Equatable, Sendable {
    /// The name; not always the only one of its kind in the object.
    public var name: String
    /// The value.
    public var value: JSONValue

    /// A member of its parts.
    public init(name: String, value: JSONValue) {
      self.name = name
      self.value = value
    }
  }

  /// Reads the one value in `text`.
  ///
  /// - Complexity: O(bytes) in time and memory. The depth is limited by `ImageLimits.descriptionDepth`, the number of
  ///   values by `ImageLimits.descriptionValues`; limiting the bytes is up to the caller.
  public init(parsing text: Span<UInt8>) throws(JSONError) {
    var parser = JSONParser(text)
    self = try parser.parse()
  }

  /// Reads the one value in `text`.
  public init(parsing text: [UInt8]) throws(JSONError) {
    self = try JSONValue(parsing: text.span)
  }

  /// The value of the first member named `name`, or `nil`. O(members).
  public subscript(name: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.name == name }?.value
  }

  /// The integer, if this is one and not negative.
  public var unsignedInteger: UInt64? {
    switch self {
    case .integer(let value): UInt64(exactly: value)
    case .unsigned(let value): value
    default: nil
    }
  }
}

extension ImageLimits {
  /// Values in the JSON device description, and values decoded from one device's bytes: 2^20. A guest with 4 CPUs has
  /// 7,500 in 100 kB of text (measured on QEMU 10.0.2), so this is enough for 13 MB; it takes up to 100 MB of memory.
  public static let descriptionValues = 1 << 20
}
