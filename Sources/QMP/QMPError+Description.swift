import LinuxIO
import MappedRAMFormat

extension QMPError: CustomStringConvertible {
  /// The message: the command or the socket, what was found, what was expected, what to do.
  public var description: String {
    switch self {
    case .refused(let command, let errorClass, let description):
      Self.refusal(command, errorClass, description)
    case .timedOut(let command, let path, let duration):
      "\(path): QEMU did not answer \(command) within \(Self.seconds(duration)). It may be waiting for "
        + "a slow disk: check the VM, then try again."
    case .closed(let command?, let path):
      "\(path): QEMU closed the connection before it answered \(command). It has probably ended: see "
        + "its log."
    case .closed(nil, let path):
      "\(path): QEMU closed the connection. It has probably ended: see its log."
    case .noGreeting(let path, let duration):
      "\(path): no QMP greeting within \(Self.seconds(duration)). QEMU serves one client at a time, and "
        + "another is probably connected: close that one, or give QEMU a second socket (-qmp "
        + "unix:PATH,server=on,wait=off)."
    case .notQMP(let path, let found):
      "\(path): found \(found.debugDescription) where QMP's greeting was expected. Give a socket of "
        + "-qmp or -mon mode=control."
    case .malformed(let path, let malformation):
      "\(path): invalid QMP from QEMU: \(malformation)"
    case .unexpectedAnswer(let command, let place, let expected):
      "QEMU's answer to \(command) is not as expected: \(place) is not \(expected). This version of "
        + "QEMU may be too old or too new."
    case .cancelled: "Interrupted."
    case .system(let error):
      error.description
    }
  }

  private static func refusal(
    _ command: String, _ errorClass: String, _ description: String
  ) -> String {
    let ended = description.hasSuffix(".") ? description : description + "."
    let head = "QEMU refused \(command): \(ended)"
    switch errorClass {
    case "GenericError": return head
    case "CommandNotFound":
      return "\(head) This version of QEMU does not have it (\(errorClass))."
    default: return "\(head) (\(errorClass))"
    }
  }

  /// `duration` in seconds with at most three digits behind the point.
  private static func seconds(_ duration: Duration) -> String {
    let (seconds, milliseconds) = duration.wholeMilliseconds.quotientAndRemainder(dividingBy: 1000)
    if milliseconds == 0 { return "\(seconds) s" }
    var digits = String(milliseconds + 1000).dropFirst()
    while digits.last == "0" { digits.removeLast() }
    return "\(seconds).\(digits) s"
  }
}

extension QMPError.Malformation: CustomStringConvertible {
  /// What was found, and what was expected.
  public var description: String {
    switch self {
    case .text(let error):
      "byte \(error.position): the text is not JSON: \(error.problem)."
    case .shape(let found):
      "found \(found.debugDescription); expected an object with return, error or event."
    case .tooLong(let limit):
      "it has more than \(limit) bytes."
    }
  }
}
