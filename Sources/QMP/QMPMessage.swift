public import MappedRAMFormat

/// Something that QEMU tells without being asked.
public struct QMPEvent: Equatable, Sendable {
  /// Its name, in capitals: `STOP`, `MIGRATION`, …
  public var name: String
  /// What belongs to it; an empty object where there is nothing.
  public var data: JSONValue
  /// When QEMU sent it, in microseconds since 1970; 0 where it does not say.
  public var microseconds: UInt64

  /// An event of its parts.
  package init(name: String, data: JSONValue = [:], microseconds: UInt64 = 0) {
    self.name = name
    self.data = data
    self.microseconds = microseconds
  }
}

/// One line of QMP from QEMU (QEMU 10.0, docs/interop/qmp-spec.rst).
enum QMPMessage {
  case greeting(JSONValue)
  case success(id: JSONValue?, JSONValue)
  case failure(id: JSONValue?, errorClass: String, description: String)
  case event(QMPEvent)

  /// Reads a line. Members that are not known are passed over.
  init(parsing line: Span<UInt8>) throws(QMPMessageError) {
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONValue(parsing: line)
    } catch {
      throw QMPMessageError(.text(error))
    }
    if let name = value["event"]?.string {
      let time = value["timestamp"]
      let seconds = time?["seconds"]?.unsignedInteger ?? 0
      let rest = time?["microseconds"]?.unsignedInteger ?? 0
      self = .event(
        QMPEvent(
          name: name, data: value["data"] ?? [:], microseconds: seconds &* 1_000_000 &+ rest))
    } else if let returned = value["return"] {
      self = .success(id: value["id"], returned)
    } else if let error = value["error"] {
      self = .failure(
        id: value["id"], errorClass: error["class"]?.string ?? "GenericError",
        description: error["desc"]?.string ?? error.text)
    } else if let greeting = value["QMP"] {
      self = .greeting(greeting)
    } else {
      throw QMPMessageError(.shape(found: String(value.text.prefix(80))))
    }
  }
}

/// A line that is no message.
struct QMPMessageError: Error {
  let malformation: QMPError.Malformation

  init(_ malformation: QMPError.Malformation) {
    self.malformation = malformation
  }
}
