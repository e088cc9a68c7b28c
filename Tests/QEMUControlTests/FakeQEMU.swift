import LinuxIO
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport

/// The other end of a QMP conversation, played by a test on a thread of its own.
final class FakeQEMU: Sendable {
  /// The greeting of QEMU 10.0.2.
  static let greeting =
    #"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "Debian"}, "capabilities": ["oob"]}}"#
    + "\r\n"

  let socket: UnixSocket

  init(_ socket: UnixSocket) {
    self.socket = socket
  }

  /// Sends `text` as it is. That the client has gone is no failure.
  func send(_ text: String) {
    do throws(SystemCallError) {
      try socket.send(Array(text.utf8), deadline: .now + .seconds(20))
    } catch {}
  }

  /// The next line that the client sends, with its descriptors counted; `nil` at its end.
  func request() throws -> JSONValue? {
    var bytes: [UInt8] = []
    while bytes.last != 0x0A {
      let count = try socket.receive(into: &bytes, limit: 1, deadline: .now + .seconds(20))
      guard let count else { throw HarnessError("the client sends nothing") }
      if count == 0 { return nil }
    }
    return try JSONValue(parsing: bytes)
  }

  /// Reads a command and answers it with `value`.
  @discardableResult
  func answer(_ value: JSONValue = [:], before: String = "", after: String = "") throws
    -> JSONValue?
  {
    guard let request = try request() else { return nil }
    send(before + Self.success(value, to: request) + after)
    return request
  }

  static func success(_ value: JSONValue, to request: JSONValue) -> String {
    let answer: JSONValue = ["return": value, "id": request["id"] ?? .null]
    return answer.text + "\r\n"
  }

  static func failure(_ errorClass: String, _ description: String, to request: JSONValue) -> String
  {
    let error: JSONValue = ["class": .string(errorClass), "desc": .string(description)]
    let answer: JSONValue = ["id": request["id"] ?? .null, "error": error]
    return answer.text + "\r\n"
  }
}

/// Runs `client` against `server`, which plays QEMU on a socket pair, negotiation and all.
func converse<Value>(
  _ server: @escaping @Sendable (FakeQEMU) throws -> Void,
  client: (UnixSocket) throws -> Value
) throws -> Value {
  let (ours, theirs) = try UnixSocket.pair(named: "fake")
  let thread = try PosixThread<Void, any Error>(name: "fake QEMU") {
    defer { theirs.shutdown() }
    try server(FakeQEMU(theirs))
  }
  let result = Result { try client(ours) }
  ours.shutdown()
  try thread.join()
  return try result.get()
}

/// Runs `client` on a negotiated connection.
func withConnection<Value>(
  _ server: @escaping @Sendable (FakeQEMU) throws -> Void,
  client: (QMPConnection) throws -> Value
) throws -> Value {
  try converse { qemu throws in
    qemu.send(FakeQEMU.greeting)
    try qemu.answer()
    try server(qemu)
  } client: { socket in
    try client(try QMPConnection(socket: socket, name: "fake", timeout: .seconds(20)))
  }
}

/// What `body` throws.
func thrown(_ body: () throws -> Void) -> QMPError? {
  do {
    try body()
    return nil
  } catch {
    return error as? QMPError
  }
}
