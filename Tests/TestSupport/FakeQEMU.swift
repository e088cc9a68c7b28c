import LinuxIO
package import LinuxProcesses
package import MappedRAMFormat

/// The other end of a QMP conversation, played by a test on a thread of its own.
package final class FakeQEMU: Sendable {
  /// The greeting of QEMU 10.0.2.
  package static let greeting =
    #"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "Debian"}, "capabilities": ["oob"]}}"#
    + "\r\n"

  /// The connection.
  package let socket: UnixSocket

  /// Plays QEMU on `socket`.
  package init(_ socket: UnixSocket) {
    self.socket = socket
  }

  /// Sends `text` as it is. That the client has gone is no failure.
  package func send(_ text: String) {
    do throws(SystemCallError) {
      try socket.send(Array(text.utf8), deadline: .now + .seconds(20))
    } catch {}
  }

  /// The next line that the client sends, with its descriptors counted; `nil` at its end.
  package func request() throws -> JSONValue? {
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
  package func answer(_ value: JSONValue = [:], before: String = "", after: String = "") throws
    -> JSONValue?
  {
    guard let request = try request() else { return nil }
    send(before + Self.success(value, to: request) + after)
    return request
  }

  /// The answer to `request` that says that all went well.
  package static func success(_ value: JSONValue, to request: JSONValue) -> String {
    let answer: JSONValue = ["return": value, "id": request["id"] ?? .null]
    return answer.text + "\r\n"
  }

  /// The answer to `request` that refuses it.
  package static func failure(_ errorClass: String, _ description: String, to request: JSONValue)
    -> String
  {
    let error: JSONValue = ["class": .string(errorClass), "desc": .string(description)]
    let answer: JSONValue = ["id": request["id"] ?? .null, "error": error]
    return answer.text + "\r\n"
  }
}
