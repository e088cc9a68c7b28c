import LinuxIO
package import LinuxProcesses
public import MappedRAMFormat
public import SystemPackage

/// A conversation with a QEMU over QMP.
///
/// Each command has a time-out. The class is not `Sendable`: one
/// thread uses it. Another thread ends its waits by what `isCancelled` says, or through `socket` (`UnixSocket.shutdown`).
///
/// Whatever else is on the socket is passed over: events (they are kept, see `takeEvents`), answers
/// to commands that are not ours or came too late, members that are not known.
public final class QMPConnection {
  /// The socket's path; for messages, and for `reconnect`.
  public let path: FilePath
  /// How long a command waits for its answer, unless it says otherwise: 30 seconds. QEMU answers most
  /// at once; those that wait for disks (`stop`, `quit`) may need longer.
  public var timeout: Duration = .seconds(30)
  /// Ends a wait for QEMU, and has nothing sent any more, once it is true. It is asked ten times a second.
  package var isCancelled: @Sendable () -> Bool
  /// How long each answer is waited for nevertheless, and commands are sent: on the way back, and once the work is done. Zero: not at all.
  package var grace = Duration.zero
  /// When the grace of the present wait is over, if it has begun.
  var graceEnd: ContinuousClock.Instant?
  /// The connected socket.
  package internal(set) var socket: UnixSocket
  /// QEMU's version as its greeting gives it; `nil` where the greeting had been read before.
  public internal(set) var version: QEMUVersion?
  /// Events that were dropped because they were not taken in time.
  public var droppedEvents: Int { events.droppedCount }

  var lines: LineBuffer
  var events = EventQueue(limit: eventLimit, byteLimit: eventByteLimit)
  /// Called with each event as it is read, whatever is awaited then. It stays to be taken.
  package var onEvent: ((QMPEvent) -> Void)?
  /// The deadline that has passed last, and the bytes that came since, for who waited until then.
  var late = (deadline: ContinuousClock.now, byteCount: 0)
  /// A command was sent in part, so nothing more can be.
  var isCut = false
  /// What is held back, to be sent all at once, and the last command in it.
  var held: (bytes: [UInt8], name: String)?
  private var lastID: Int64

  /// The most bytes that QEMU may send on one line: 64 MiB. The longest known answer, that of
  /// query-qmp-schema, has 0.2 MiB.
  public static let lineLimit = 64 << 20
  /// The most events that are kept: 1024. A command is answered within a few. Of each name the first and the last are among them.
  public static let eventLimit = 1024
  /// The most bytes, as they were sent, that kept events have: 4 MiB, of which one alone may have more. QEMU's have some hundreds each.
  static let eventByteLimit = 4 << 20
  /// The most bytes that are taken from the socket when a deadline has passed: 512 KiB, twice what a socket holds (net.core.wmem_default is
  /// 208 KiB). What was there in time is found, and a peer that floods does not hold up a wait.
  static let lateLimit = 512 << 10
  /// How long a wait lasts before `isCancelled` is asked again.
  static let lookInterval = Duration.milliseconds(100)

  /// Connects to the socket at `path`, waits for the greeting and negotiates, all within `timeout`.
  ///
  /// - Parameter isCancelled: ends this wait, and all later ones, once it is true. It is asked ten times a second.
  ///
  /// Throws `system` where no process listens; `noGreeting` where another client is connected; `notQMP`
  /// where something else answers; `cancelled`.
  public init(
    connecting path: FilePath, timeout: Duration = .seconds(10), lineLimit: Int = lineLimit,
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws(QMPError) {
    self.path = path
    self.isCancelled = isCancelled
    lines = LineBuffer(limit: lineLimit)
    lastID = Self.anyID()
    let deadline = ContinuousClock.now + timeout
    socket = try Self.connect(to: path, deadline: deadline, isCancelled)
    try greet(deadline: deadline, after: timeout)
  }

  private static func connect(
    to path: FilePath, deadline: ContinuousClock.Instant, _ isCancelled: () -> Bool
  ) throws(QMPError) -> UnixSocket {
    while true {
      let left = max(ContinuousClock.now.duration(to: deadline), .milliseconds(1))
      do throws(SystemCallError) {
        return try UnixSocket.connect(to: path, timeout: min(left, lookInterval))
      } catch {
        // The program that listens takes no more connections, as yet.
        guard error.errno == .resourceTemporarilyUnavailable, .now < deadline else {
          throw .system(error)
        }
      }
      guard !isCancelled() else { throw .cancelled }
    }
  }

  /// The same over `socket`, which is connected to `path`, and over which nothing was said yet.
  package init(greetedOver socket: UnixSocket, path: FilePath, timeout: Duration) throws(QMPError) {
    self.path = path
    self.socket = socket
    isCancelled = { false }
    lines = LineBuffer(limit: Self.lineLimit)
    lastID = Self.anyID()
    try greet(deadline: .now + timeout, after: timeout)
  }

  /// Takes over a conversation on a connected socket, called `name` in messages. It may be new, or
  /// negotiated already by another client.
  ///
  /// - Parameter isCancelled: ends this wait, and all later ones, once it is true. It is asked ten times a second.
  ///
  /// Throws `timedOut` where nothing comes within `timeout`; `cancelled`.
  package convenience init(
    socket: UnixSocket, name: FilePath, timeout: Duration = .seconds(10),
    lineLimit: Int = lineLimit, isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws(QMPError) {
    try self.init(
      socket: socket, name: name, timeout: timeout, lineLimit: lineLimit, lastID: Self.anyID(),
      isCancelled: isCancelled)
  }

  /// The same, with the next number behind `lastID` for the first command: for whoever plays QEMU and cannot wait to be asked.
  package init(
    socket: UnixSocket, name: FilePath, timeout: Duration, lineLimit: Int, lastID: Int64,
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws(QMPError) {
    self.path = name
    self.isCancelled = isCancelled
    self.socket = socket
    self.lastID = lastID
    lines = LineBuffer(limit: lineLimit)
    try negotiate(timeout: timeout)
  }

  /// A number that no other client on the same monitor has used.
  private static func anyID() -> Int64 { .random(in: 0..<1 << 40) }

  /// Ends the conversation and begins a new one with the same path. Events that were not taken are lost.
  ///
  /// Throws as `init(connecting:timeout:)`; then the connection is of no use until a later
  /// `reconnect` succeeds.
  public func reconnect(timeout: Duration = .seconds(10)) throws(QMPError) {
    try begin()
    let deadline = ContinuousClock.now + timeout
    // QEMU takes the new client only when the old one is gone.
    socket.shutdown()
    let isCancelled = isCancelled
    let mayWait = grace > .zero
    socket = try Self.connect(to: path, deadline: deadline) { !mayWait && isCancelled() }
    lines = LineBuffer(limit: lines.limit)
    _ = events.takeAll()
    version = nil
    isCut = false
    try greet(deadline: deadline, after: timeout)
  }

  /// Sends a command and waits for its answer.
  ///
  /// Throws `refused` with QEMU's own words, `timedOut`, `closed`, `malformed`, `unexpectedAnswer`,
  /// `cancelled`, `system`.
  public func execute<Answer>(_ command: QMPCommand<Answer>) throws(QMPError) -> Answer {
    try answer(to: try send(command))
  }

  /// Sends the command `name` and gives what QEMU returned.
  ///
  /// - Parameters:
  ///   - arguments: an object.
  ///   - descriptors: travel with the command, and stay the caller's.
  ///   - timeout: how long to wait; `nil` for the connection's own time.
  /// - Throws: as `execute(_:)`.
  public func execute(
    _ name: String, arguments: JSONValue = [:], passing descriptors: [CInt] = [],
    timeout: Duration? = nil
  ) throws(QMPError) -> JSONValue {
    try execute(
      QMPCommand(name, arguments, passing: descriptors, timeout: timeout) { $0.value })
  }

  /// Sends commands without waiting for their answers. QEMU carries them out in this order, one right after the other, or after what
  /// another client has sent until then, also where it refuses one of them.
  ///
  /// Each answer is taken by `answer(to:)`, in the same order; one that is passed over is lost. Only the first command may have descriptors:
  /// QEMU keeps those that came last.
  ///
  /// - Throws: as `execute(_:)`, but not `refused`.
  package func send<each Answer>(
    _ commands: repeat QMPCommand<each Answer>
  ) throws(QMPError) -> (repeat SentCommand<each Answer>) {
    try begin()
    var requests: [JSONValue] = []
    var descriptors: [CInt] = []
    var last = (name: "", timeout: timeout)
    func add<Value>(_ command: QMPCommand<Value>) -> SentCommand<Value> {
      precondition(
        requests.isEmpty || command.descriptors.isEmpty, "only the first has descriptors")
      lastID += 1
      var request: [JSONValue.Member] = [.init(name: "execute", value: .string(command.name))]
      if command.arguments != [:] {
        request.append(.init(name: "arguments", value: command.arguments))
      }
      request.append(.init(name: "id", value: .integer(lastID)))
      requests.append(.object(request))
      descriptors += command.descriptors
      last = (command.name, command.timeout ?? timeout)
      return SentCommand(command: command, id: lastID)
    }
    let sent = (repeat add(each commands))
    try send(
      requests, passing: descriptors, for: last.name, deadline: .now + last.timeout,
      timeout: last.timeout)
    return sent
  }

  /// Waits for the answer to a command that was sent.
  ///
  /// - Throws: as `execute(_:)`.
  package func answer<Answer>(to sent: SentCommand<Answer>) throws(QMPError) -> Answer {
    let (name, id) = (sent.command.name, JSONValue.integer(sent.id))
    let timeout = sent.command.timeout ?? self.timeout
    let deadline = ContinuousClock.now + timeout
    while let message = try nextMessage(for: name, deadline: deadline) {
      switch message {
      case .success(id, let value): return try sent.command.read(QMPAnswer(value, to: name))
      case .failure(id, let errorClass, let description):
        throw .refused(command: name, errorClass: errorClass, description: description)
      case .greeting(let greeting): version = version ?? QEMUVersion(greeting["version"])
      default: break
      }
    }
    throw .timedOut(command: name, path, after: timeout)
  }

  /// Has the human monitor carry out `line` (QMP `human-monitor-command`).
  ///
  /// - Returns: what it printed. Errors of the line itself are printed as well: they are no failure.
  public func humanMonitor(_ line: String) throws(QMPError) -> String {
    let name = "human-monitor-command"
    let value = try execute(name, arguments: ["command-line": .string(line)])
    return try QMPAnswer(value, to: name).string()
  }
}

/// A command that QEMU has been sent, and whose answer was not taken yet.
package struct SentCommand<Answer> {
  fileprivate let command: QMPCommand<Answer>
  fileprivate let id: Int64
}

/// What `body` gives, with its error as a QMPError.
func asQMPError<Value>(
  _ body: () throws(SystemCallError) -> Value
) throws(QMPError) -> Value {
  do throws(SystemCallError) {
    return try body()
  } catch {
    throw .system(error)
  }
}
