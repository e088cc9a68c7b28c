import MappedRAMFormat

/// Descriptors that QEMU was handed, and that it opens as the file `path`: it needs no right to open a path itself.
///
/// QEMU chooses the descriptor whose access mode, and whose O_DIRECT, are those that it wants (source: observed on QEMU 10.0.2).
struct DescriptorSet {
  private let connection: QMPConnection
  private let id: JSONValue

  /// Hands over `descriptors`, at least one. They stay the caller's.
  init(_ descriptors: [CInt], to connection: QMPConnection, called name: String) throws(QMPError) {
    var id: JSONValue?
    for descriptor in descriptors {
      var arguments: [JSONValue.Member] = [.init(name: "opaque", value: .string(name))]
      if let id { arguments.append(.init(name: "fdset-id", value: id)) }
      let answer = try connection.execute(
        "add-fd", arguments: .object(arguments), passing: [descriptor])
      guard let number = answer["fdset-id"], number.unsignedInteger != nil else {
        throw .unexpectedAnswer(
          command: "add-fd", place: "return.fdset-id", expected: "a number")
      }
      id = number
    }
    guard let id else { preconditionFailure("at least one descriptor") }
    self.id = id
    self.connection = connection
  }

  /// The file's name for QEMU.
  var path: String { "/dev/fdset/\(id.unsignedInteger ?? 0)" }

  /// Takes the descriptors back. A QEMU that is gone has given them back already.
  func remove() {
    _ = try? connection.execute("remove-fd", arguments: ["fdset-id": id])
  }
}
