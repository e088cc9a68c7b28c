import LinuxIO
package import LinuxProcesses
import MappedRAMFormat
import SystemPackage

extension QMPConnection {
  /// Sends `requests`, of which `name` is the last command, each on a line of its own.
  ///
  /// As short as they can be: QEMU reads them byte by byte, a system call for each (10.0.2, monitor/monitor.c, `monitor_can_read`; tried:
  /// 2.8 µs for each byte, so for a short question nearly as much as for all else about it).
  func send(
    _ requests: [JSONValue], passing descriptors: [CInt], for name: String,
    deadline: ContinuousClock.Instant, timeout: Duration
  ) throws(QMPError) {
    guard !isCut else { throw .closed(command: name, path) }
    var bytes: [UInt8] = []
    for request in requests {
      request.append(to: &bytes, isSpaced: false)
      bytes.append(0x0A)
    }
    if let before = held {
      precondition(descriptors.isEmpty, "What is held back has no descriptors")
      held = (before.bytes + bytes, name)
      return
    }
    try send(bytes, passing: descriptors, for: name, deadline: deadline, timeout: timeout)
  }

  /// Holds back what `ask` sends, and sends it all at once: where QEMU ends in the middle, or refuses something and then ends, that is found
  /// in its answers, and not in a later command that could not be sent.
  ///
  /// - Throws: as `execute(_:)`, but not `refused`.
  package func inOneBreath<Value>(
    _ ask: () throws(QMPError) -> Value
  ) throws(QMPError) -> Value {
    precondition(held == nil, "one breath at a time")
    held = ([], "")
    defer { held = nil }
    let value = try ask()
    if let (bytes, last) = held.take() {
      try send(bytes, passing: [], for: last, deadline: .now + timeout, timeout: timeout)
    }
    return value
  }

  private func send(
    _ bytes: [UInt8], passing descriptors: [CInt], for name: String,
    deadline: ContinuousClock.Instant, timeout: Duration
  ) throws(QMPError) {
    do throws(SystemCallError) {
      try socket.send(bytes, passing: descriptors, deadline: deadline)
    } catch {
      isCut = true
      switch (error.call, error.errno) {
      case (.sendmsg, .brokenPipe), (.sendmsg, .connectionReset):
        throw .closed(command: name, path)
      case (.poll, .timedOut): throw .timedOut(command: name, path, after: timeout)
      default: throw .system(error)
      }
    }
  }

  /// The next message that is no event, which is kept; `nil` if `deadline` passes first.
  ///
  /// - Parameter command: what is awaited, for errors.
  func nextMessage(
    for command: String?, deadline: ContinuousClock.Instant
  ) throws(QMPError) -> QMPMessage? {
    while let message = try nextLine(for: command, deadline: deadline) {
      guard case .event = message else { return message }
    }
    return nil
  }

  /// The next message of any kind; `nil` if `deadline` passes first. An event is kept, and told to whoever asked to be.
  func nextLine(
    for command: String?, deadline: ContinuousClock.Instant
  ) throws(QMPError) -> QMPMessage? {
    while true {
      while let range = lines.next() {
        guard range.count <= lines.limit else {
          throw .malformed(path, .tooLong(limit: lines.limit))
        }
        // QEMU ends its lines with \r\n, and an empty line says nothing.
        if lines.bytes[range].allSatisfy({ $0 == 0x0D || $0 == 0x20 }) { continue }
        let message: QMPMessage
        do throws(QMPMessageError) {
          message = try QMPMessage(parsing: lines.bytes.span.extracting(range))
        } catch {
          throw .malformed(path, error.malformation)
        }
        if case .event(let event) = message {
          events.append(event, byteCount: range.count)
          onEvent?(event)
        }
        return message
      }
      guard try receive(for: command, deadline: deadline) else { return nil }
    }
  }

  /// Waits for more bytes. Whether some came before `deadline`; what was there then is taken later as well, up to `lateLimit`.
  ///
  /// Throws `closed` at the end; `malformed` where the line at the end of the buffer is too long; what `checkWait` gives.
  func receive(
    for command: String?, deadline: ContinuousClock.Instant
  ) throws(QMPError) -> Bool {
    guard !lines.isOverLimit else { throw .malformed(path, .tooLong(limit: lines.limit)) }
    while true {
      let now = ContinuousClock.now
      let isLate = now >= deadline
      if isLate, late.deadline != deadline { late = (deadline, 0) }
      guard !isLate || late.byteCount < Self.lateLimit else { return false }
      if !isLate { try checkWait(for: command, now) }
      let count: Int?
      do throws(SystemCallError) {
        count = try socket.receive(
          into: &lines.bytes, deadline: min(deadline, now + Self.lookInterval))
      } catch {
        // A peer that closes without having read everything resets the connection.
        if error.errno == .connectionReset { throw .closed(command: command, path) }
        throw .system(error)
      }
      if count == 0 { throw .closed(command: command, path) }
      if isLate { late.byteCount += count ?? 0 }
      if count != nil || isLate { return count != nil }
    }
  }

  /// Before something is sent: there is a new wait.
  ///
  /// Throws `cancelled` where nothing is to be sent any more.
  func begin() throws(QMPError) {
    graceEnd = nil
    guard grace > .zero || !isCancelled() else { throw .cancelled }
  }

  /// Looks whether a wait is to end before its time.
  ///
  /// Throws `cancelled`; where there is a grace, and it is over, `timedOut`, or `noGreeting`.
  private func checkWait(
    for command: String?, _ now: ContinuousClock.Instant
  ) throws(QMPError) {
    guard isCancelled() else { return }
    guard grace > .zero else { throw .cancelled }
    let end = graceEnd ?? now + grace
    graceEnd = end
    guard now >= end else { return }
    guard let command else { throw .noGreeting(path, after: grace) }
    throw .timedOut(command: command, path, after: grace)
  }

  /// The events that wait unread in `socket`, over which another process has talked with QEMU. A line that it has read in part is passed
  /// over, and so is what comes behind `lateLimit` bytes.
  package static func eventsLeft(in socket: UnixSocket) -> [QMPEvent] {
    var lines = LineBuffer(limit: lineLimit)
    // A socket that is broken has no more events.
    while lines.bytes.count < lateLimit,
      let count = try? socket.receive(into: &lines.bytes, deadline: .now), count > 0
    {}
    var events: [QMPEvent] = []
    while let range = lines.next() {
      if case .event(let event)? = try? QMPMessage(parsing: lines.bytes.span.extracting(range)) {
        events.append(event)
      }
    }
    return events
  }

  /// Takes the events that have been read so far, the oldest first: those that QEMU sent before the answer that was taken last.
  package func takeEventsRead() -> [QMPEvent] { events.takeAll() }

  /// Takes the events that came so far, the oldest first, without waiting. Where there were more than `eventLimit`, some are missing
  /// between the first and the last of their name. No answer is awaited: it would be lost.
  ///
  /// Throws `closed`, `malformed`, `system`, but first gives the events that came before.
  public func takeEvents() throws(QMPError) -> [QMPEvent] {
    let now = ContinuousClock.now
    do throws(QMPError) {
      while try nextMessage(for: nil, deadline: now) != nil {}
    } catch {
      if events.isEmpty { throw error }
    }
    return events.takeAll()
  }

  /// Whether an event of this name has come that was not taken yet, without waiting. It stays. No answer is awaited.
  ///
  /// Throws `closed`, `malformed`, `system`.
  package func hasEvent(_ name: String) throws(QMPError) -> Bool {
    let now = ContinuousClock.now
    while try nextMessage(for: nil, deadline: now) != nil {}
    return events.has(name)
  }

  /// Waits for an event with one of `names` and takes it; earlier events with other names stay.
  ///
  /// An event that came before and was not taken counts. `nil` if `deadline` passes first.
  ///
  /// Throws `closed`, `malformed`, `system`.
  public func waitForEvent(
    _ names: Set<String>, deadline: ContinuousClock.Instant
  ) throws(QMPError) -> QMPEvent? {
    while true {
      if let event = events.takeFirst(of: names) { return event }
      guard try nextLine(for: nil, deadline: deadline) != nil else { return nil }
    }
  }
}
