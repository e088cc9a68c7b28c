/// A COMMAND in the stream: a code (2, big-endian), a length (2, big-endian) and that many bytes.
///
/// Files have only POSTCOPY_ADVISE (with the capability `dirty-bitmaps`) and SWITCHOVER_START (machine types from 10.0
/// on); the others belong to sockets. Source: QEMU v10.0.2, `migration/savevm.c`, and observation.
public struct Command: Equatable, Sendable {
  /// Which command.
  public var code: Code
  /// Its data.
  public var data: [UInt8]

  /// The commands that QEMU knows.
  public enum Code: UInt16, CaseIterable, Sendable {
    case openReturnPath = 1
    case ping = 2
    case postcopyAdvise = 3
    case postcopyListen = 4
    case postcopyRun = 5
    case postcopyRAMDiscard = 6
    case packaged = 7
    case enableCOLO = 8
    case postcopyResume = 9
    case receiveBitmap = 10
    case switchoverStart = 11

    /// The name that QEMU's documents use.
    public var name: String {
      switch self {
      case .openReturnPath: "OPEN_RETURN_PATH"
      case .ping: "PING"
      case .postcopyAdvise: "POSTCOPY_ADVISE"
      case .postcopyListen: "POSTCOPY_LISTEN"
      case .postcopyRun: "POSTCOPY_RUN"
      case .postcopyRAMDiscard: "POSTCOPY_RAM_DISCARD"
      case .packaged: "PACKAGED"
      case .enableCOLO: "ENABLE_COLO"
      case .postcopyResume: "POSTCOPY_RESUME"
      case .receiveBitmap: "RECV_BITMAP"
      case .switchoverStart: "SWITCHOVER_START"
      }
    }

    /// The lengths that QEMU's loader takes; empty where it takes any.
    var lengths: [Int] {
      switch self {
      case .openReturnPath, .postcopyListen, .postcopyRun, .enableCOLO, .postcopyResume,
        .switchoverStart:
        [0]
      case .ping, .packaged: [4]
      case .postcopyAdvise: [0, 16]
      case .postcopyRAMDiscard, .receiveBitmap: []
      }
    }
  }

  /// The bytes before the data: type byte, code, length.
  public static let headByteCount = 5

  /// A command of its parts.
  package init(_ code: Code, data: [UInt8] = []) {
    self.code = code
    self.data = data
  }

  /// Reads a command, after its type byte.
  ///
  /// - Throws: `truncated`, `unknownCommand`, `commandLength`.
  init(parsing input: inout ByteInput) throws(FormatError) {
    let start = input.offset
    let number = try input.readBigEndian(UInt16.self, in: .command)
    guard let code = Code(rawValue: number) else {
      throw FormatError(.unknownCommand(number), at: start, in: .command)
    }
    let lengthOffset = input.offset
    let length = Int(try input.readBigEndian(UInt16.self, in: .command))
    guard code.lengths.isEmpty || code.lengths.contains(length) else {
      throw FormatError(
        .commandLength(code, found: length, expected: code.lengths), at: lengthOffset, in: .command)
    }
    self.code = code
    data = try input.readBytes(length, in: .command)
  }

  /// Appends the command's bytes, without the type byte.
  func encode(into output: inout ByteOutput) {
    output.writeBigEndian(code.rawValue)
    output.writeBigEndian(UInt16(data.count))
    output.write(data)
  }
}
