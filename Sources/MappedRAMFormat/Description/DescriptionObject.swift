/// What is wrong in the shape of a device description: a value that is missing or of another kind than it should be.
struct DescriptionShapeError: Error {
  /// Keys and indices from the wrong value up to the root.
  var path: [String]
  var expected: String

  init(_ expected: String) {
    path = []
    self.expected = expected
  }

  /// The same problem, seen from the object or array around.
  func within(_ component: String) -> DescriptionShapeError {
    var error = self
    error.path.append(component)
    return error
  }

  /// The error to report for a text at `offset`.
  func formatError(at offset: FileOffset) -> FormatError {
    var joined = ""
    for component in path.reversed() {
      if !joined.isEmpty, !component.hasPrefix("[") { joined += "." }
      joined += component
    }
    return FormatError(
      .descriptionShape(path: joined.isEmpty ? "the text" : joined, expected: expected),
      at: offset, in: .description)
  }
}

/// An object of a device description, asked for its members.
struct DescriptionObject {
  typealias Reader<Value> = (JSONValue) throws(DescriptionShapeError) -> Value

  private let members: [JSONValue.Member]

  init(_ value: JSONValue) throws(DescriptionShapeError) {
    guard case .object(let members) = value else { throw DescriptionShapeError("an object") }
    self.members = members
  }

  private init(members: ArraySlice<JSONValue.Member>) { self.members = Array(members) }

  /// The members from each of those called `name` up to the next of that name.
  func split(before name: String) -> [DescriptionObject] {
    let starts = members.indices.filter { members[$0].name == name }
    let ends = starts.dropFirst() + [members.endIndex]
    return zip(starts, ends).map { DescriptionObject(members: members[$0..<$1]) }
  }

  /// Whether there is a member `name`.
  func has(_ name: String) -> Bool { members.contains { $0.name == name } }

  /// The member `name`, read by `read`, or `nil` where there is none. O(members).
  func optional<Value>(
    _ name: String, _ read: Reader<Value>
  ) throws(DescriptionShapeError) -> Value? {
    var found: JSONValue?
    for member in members where member.name == name {
      guard found == nil else {
        throw DescriptionShapeError("the only member of its name").within(name)
      }
      found = member.value
    }
    guard let found else { return nil }
    do throws(DescriptionShapeError) {
      return try read(found)
    } catch {
      throw error.within(name)
    }
  }

  /// The member `name`, read by `read`.
  func required<Value>(
    _ name: String, _ read: Reader<Value>
  ) throws(DescriptionShapeError) -> Value {
    guard let value = try optional(name, read) else {
      throw DescriptionShapeError("there").within(name)
    }
    return value
  }

  /// Reads an array, each element by `read`.
  static func list<Element>(_ read: @escaping Reader<Element>) -> Reader<[Element]> {
    { (value) throws(DescriptionShapeError) in
      guard case .array(let values) = value else { throw DescriptionShapeError("an array") }
      var elements: [Element] = []
      elements.reserveCapacity(values.count)
      for (index, value) in values.enumerated() {
        do throws(DescriptionShapeError) {
          elements.append(try read(value))
        } catch {
          throw error.within("[\(index)]")
        }
      }
      return elements
    }
  }

  static func string(_ value: JSONValue) throws(DescriptionShapeError) -> String {
    guard case .string(let string) = value else { throw DescriptionShapeError("a string") }
    return string
  }

  /// A name that stands in the stream with its length in one byte.
  static func streamName(_ value: JSONValue) throws(DescriptionShapeError) -> String {
    guard case .string(let name) = value, (1...ImageLimits.nameBytes).contains(name.utf8.count),
      name.utf8.allSatisfy({ (0x20...0x7e).contains($0) })
    else { throw DescriptionShapeError("a name of 1 to 255 printable bytes") }
    return name
  }

  static func unsigned(_ value: JSONValue) throws(DescriptionShapeError) -> UInt64 {
    guard let number = value.unsignedInteger else {
      throw DescriptionShapeError("an integer from 0 to 2^64 - 1")
    }
    return number
  }

  static func version(_ value: JSONValue) throws(DescriptionShapeError) -> Int32 {
    guard case .integer(let number) = value, let version = Int32(exactly: number) else {
      throw DescriptionShapeError("an integer of 32 bits")
    }
    return version
  }

  static func instanceID(_ value: JSONValue) throws(DescriptionShapeError) -> UInt32 {
    guard case .integer(let number) = value, let instanceID = UInt32(exactly: number) else {
      throw DescriptionShapeError("an integer from 0 to 2^32 - 1")
    }
    return instanceID
  }

  static func pageSize(_ value: JSONValue) throws(DescriptionShapeError) -> PageSize {
    guard let number = value.unsignedInteger, let pageSize = PageSize(byteCount: number) else {
      throw DescriptionShapeError("a power of two from 1024 to 65536")
    }
    return pageSize
  }
}
