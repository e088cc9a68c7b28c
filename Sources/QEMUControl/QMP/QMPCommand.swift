public import MappedRAMFormat

/// A command of QMP with its arguments, and how its answer is read.
public protocol QMPCommand {
  /// What the answer says.
  associatedtype Answer

  /// The command's name.
  static var name: String { get }
  /// The arguments, an object.
  var arguments: JSONValue { get }
  /// Descriptors that travel with the command; they stay the caller's.
  var descriptors: [CInt] { get }
  /// How long to wait for the answer; `nil` for the connection's own time.
  var timeout: Duration? { get }

  /// Reads what QEMU returned.
  func read(_ answer: QMPAnswer) throws(QMPError) -> Answer
}

extension QMPCommand {
  /// None.
  public var arguments: JSONValue { [:] }
  /// None.
  public var descriptors: [CInt] { [] }
  /// The connection's own time.
  public var timeout: Duration? { nil }
}

extension QMPCommand where Answer == Void {
  /// Whatever QEMU returned, it means success.
  public func read(_ answer: QMPAnswer) throws(QMPError) {}
}
