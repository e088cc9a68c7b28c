import LinuxIO

/// The other end of a watchdog's socket: a thread that keeps the lines that come and answers as it is told.
final class WatchdogServer: Sendable {
  /// What is done when a line has come.
  enum Reply {
    case text(String)
    case nothing
    case close
  }

  /// The client's end.
  let client: UnixSocket
  private let lines: Monitor<[String]>
  private let isOver: Monitor<Bool>
  private let thread: PosixThread<Void, Never>

  /// A server that answers with what `reply` gives for a line and how often it came before.
  init(_ reply: @escaping @Sendable (_ line: String, _ before: Int) -> Reply) throws {
    let (client, server) = try UnixSocket.pair()
    let (lines, isOver) = (Monitor<[String]>([]), Monitor(false))
    self.client = client
    self.lines = lines
    self.isOver = isOver
    thread = try PosixThread(name: "server") {
      // An error is the client's end while it is answered, which is what some tests are for.
      try? Self.serve(server, lines, reply)
      isOver.withLock { $0 = true }
    }
  }

  deinit { client.shutdown() }

  /// The lines that came until the client's end, without their newlines; nil if the end does not come.
  func received() -> [String]? {
    client.shutdown()
    guard isOver.wait(for: .seconds(30), until: { $0 ? true : nil }) == true else { return nil }
    return lines.withLock { $0 }
  }

  private static func serve(
    _ server: UnixSocket, _ lines: Monitor<[String]>, _ reply: (String, Int) -> Reply
  ) throws {
    let deadline = ContinuousClock.now + .seconds(300)
    var buffer: [UInt8] = []
    while let count = try server.receive(into: &buffer, deadline: deadline), count > 0 {
      while let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: buffer[..<end], as: UTF8.self)
        buffer.removeSubrange(...end)
        let before = lines.withLock { all in
          let before = all.count { $0 == line }
          all.append(line)
          return before
        }
        switch reply(line, before) {
        case .text(let text): try server.send(Array(text.utf8), deadline: deadline)
        case .nothing: break
        case .close: return server.shutdown()
        }
      }
    }
  }
}

extension WatchdogServer.Reply {
  /// The answer to the command `line`, whose mark it repeats.
  static func success(_ line: String) -> Self { .text("{\"return\": {}, \"id\": \"\(line)\"}\n") }
  /// The refusal of the command `line`.
  static func refusal(_ line: String) -> Self {
    .text("{\"id\": \"\(line)\", \"error\": {\"class\": \"GenericError\"}}\n")
  }
}
