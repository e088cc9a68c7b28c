import FoundationEssentials
import LinuxIO
import MappedRAM
import QEMUControl
import SystemPackage

/// JSON for programs: sorted keys, raw numbers.
enum JSONText {
  /// The version of what all commands print. It grows when a key changes its meaning or goes; keys are added without that.
  static let schemaVersion = 1

  /// `value` over several lines, with a newline at the end.
  static func document(_ value: some Encodable) -> String {
    encode(value, [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]) + "\n"
  }

  /// `value` on one line, with a newline at the end.
  static func line(_ value: some Encodable) -> String {
    encode(value, [.sortedKeys, .withoutEscapingSlashes]) + "\n"
  }

  /// The same JSON, with JSON's own escapes for the control characters that it may have in strings.
  private static func escaped(_ text: String) -> String {
    guard TerminalText.mayHaveControls(text) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      if scalar != "\n", TerminalText.isControl(scalar) {
        let digits = String(scalar.value, radix: 16)
        let zeros = String(repeating: "0", count: 4 - digits.count)
        result.append(contentsOf: "\\u\(zeros)\(digits)".unicodeScalars)
      } else {
        result.append(scalar)
      }
    }
    return String(result)
  }

  private static func encode(
    _ value: some Encodable, _ formatting: JSONEncoder.OutputFormatting
  ) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = formatting
    do {
      return escaped(String(decoding: try encoder.encode(value), as: UTF8.self))
    } catch {
      preconditionFailure("finite numbers and strings can be encoded: \(error)")
    }
  }
}

/// A value that JSON shows as null where there is none, in place of leaving its key out.
@propertyWrapper
struct OrNull<Value: Encodable>: Encodable {
  var wrappedValue: Value?

  init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let wrappedValue {
      try container.encode(wrappedValue)
    } else {
      try container.encodeNil()
    }
  }
}

extension OrNull: Equatable where Value: Equatable {}

/// One of several things that are told: a name for programs, and a sentence for people.
struct Finding: Encodable, Equatable {
  var kind: String
  var message: String
}

/// An error, for programs.
struct ErrorJSON: Encodable {
  var kind: String
  /// The sentences that people get.
  var message: String
  @OrNull var path: String?
  /// A place in the file, in bytes from its beginning.
  @OrNull var offset: UInt64?
  /// What it is made of: mismatches, or obstacles.
  var reasons: [Finding]

  init(_ message: String, _ details: ErrorDetails, reasons: [Finding] = []) {
    kind = details.kind.rawValue
    self.message = message
    path = details.path?.string
    offset = details.offset
    self.reasons = reasons
  }

  init(_ error: CommandError) {
    self.init(error.description, error.details, reasons: error.reasons)
  }

  /// The error of a VM, with other sentences than its own.
  init(_ error: VMError, saying message: String) {
    self.init(CommandError.vm(error, output: nil))
    self.message = message
  }

  /// A command line that is not right.
  init(usage message: String) { self.init(message, ErrorDetails(.usage)) }
}

extension CommandError {
  fileprivate var reasons: [Finding] {
    switch self {
    case .vm(let error, _, _): error.reasons
    case .timedOut(_, let error): error.reasons
    default: []
    }
  }
}

extension VMError {
  fileprivate var reasons: [Finding] {
    switch self {
    case .mismatches(_, let found): found.map(\.finding)
    case .disksWentOn(_, let found): found.map(\.finding)
    case .cannotCapture(let found, _), .deviceByQEMU(_, let found), .layoutByQEMU(let found):
      found.map(\.finding)
    case .cannotProtect(let found): found.map(\.finding)
    case .notByQEMU(let found, let reasons): reasons.map(\.finding) + found.map(\.finding)
    default: []
    }
  }
}
