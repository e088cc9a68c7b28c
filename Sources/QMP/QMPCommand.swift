public import MappedRAMFormat

/// A command of QMP with its arguments, and how its answer is read.
///
/// Those that this module uses are static members: `connection.execute(.stop)`. What they take and
/// give is in QEMU's QMP reference manual (QEMU 10.0, docs/interop/qemu-qmp-ref).
public struct QMPCommand<Answer>: Sendable {
  /// QEMU's name of the command.
  public var name: String
  /// The arguments, an object.
  public var arguments: JSONValue
  /// Descriptors that travel with the command; they stay the caller's.
  public var descriptors: [CInt]
  /// How long to wait for the answer; `nil` for the connection's own time.
  public var timeout: Duration?
  package let read: @Sendable (QMPAnswer) throws(QMPError) -> Answer

  /// The command `name`, whose answer `read` understands.
  public init(
    _ name: String, _ arguments: JSONValue = [:], passing descriptors: [CInt] = [],
    timeout: Duration? = nil, read: @escaping @Sendable (QMPAnswer) throws(QMPError) -> Answer
  ) {
    self.name = name
    self.arguments = arguments
    self.descriptors = descriptors
    self.timeout = timeout
    self.read = read
  }
}

extension QMPCommand<Void> {
  /// The command `name`, of whose answer only the success counts.
  public init(
    _ name: String, _ arguments: JSONValue = [:], passing descriptors: [CInt] = [],
    timeout: Duration? = nil
  ) {
    self.init(name, arguments, passing: descriptors, timeout: timeout) { _ in }
  }
}

extension JSONValue {
  /// An object of the members whose value is not `nil`.
  package static func members(_ members: KeyValuePairs<String, JSONValue?>) -> JSONValue {
    .object(members.compactMap { name, value in value.map { Member(name: name, value: $0) } })
  }
}
