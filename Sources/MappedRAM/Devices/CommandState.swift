import Glibc
import LinuxIO
import LinuxProcesses
import SystemPackage

/// The state of a device that a command writes to its standard output.
///
/// The command is run by /bin/sh. Another status than 0 is an error, with the last that it wrote to its standard error. Its own end is
/// what counts: what a process that it leaves in the background writes later is not read, so it must `wait` for those that save.
///
/// A program that ignores SIGCHLD does so no longer once a command has been started: how it ended would be lost.
public struct CommandStateSource: DeviceStateSource {
  /// The command, as a shell takes it.
  public let command: String

  /// The state that `command` writes.
  public init(_ command: String) { self.command = command }

  /// Starts the shell, which waits for a word before it does anything of the command: to start a process takes longer than most commands
  /// do.
  public func prepared() throws(DeviceFailure) -> any DeviceStateSource {
    try DeviceFailure.system { () throws(SystemCallError) in try HeldCommand(command) }
  }

  /// Runs the command and reads until its end.
  public func save(to sink: DeviceStateSink) throws(DeviceFailure) {
    try RunningCommand.starting(command, .output).run(until: sink.stop) {
      (running) throws(DeviceFailure) in
      try running.put(into: sink)
    }
  }
}

/// A command whose shell runs, and waits for the word. It ends with the value.
private final class HeldCommand: DeviceStateSource {
  private let command: Monitor<RunningCommand?>

  init(_ command: String) throws(SystemCallError) {
    let running = try RunningCommand(command, .output, isHeld: true)
    self.command = Monitor(running)
  }

  func save(to sink: DeviceStateSink) throws(DeviceFailure) {
    guard let running = command.withLock({ $0.take() }) else {
      preconditionFailure("a source is saved from once")
    }
    try running.run(until: sink.stop) { (running) throws(DeviceFailure) in
      try running.letGo()
      try running.put(into: sink)
    }
  }
}

/// The state of a device that a command reads from its standard input.
///
/// Run as a `CommandStateSource`; its standard output goes nowhere. A process that it leaves in the background may get only a part.
public struct CommandStateTarget: DeviceStateTarget {
  /// The command, as a shell takes it.
  public let command: String
  /// Whether it is started only once all else is in.
  public var loadsLast = false

  /// The state is to go to `command`.
  public init(_ command: String) { self.command = command }

  /// Starts the command, which waits for its standard input.
  public func prepared() throws(DeviceFailure) -> any DeviceStateTarget {
    StartedCommand(try RunningCommand.starting(command, .input), loadsLast: loadsLast)
  }

  /// Runs the command and writes all to it.
  public func load(from feed: DeviceStateFeed) throws(DeviceFailure) {
    try RunningCommand.starting(command, .input).run(until: feed.stop) {
      (running) throws(DeviceFailure) in
      try running.take(from: feed)
    }
  }
}

/// A command that runs, and waits for its standard input. It ends with the value.
private final class StartedCommand: DeviceStateTarget {
  let loadsLast: Bool
  private let command: Monitor<RunningCommand?>

  init(_ running: consuming RunningCommand, loadsLast: Bool) {
    command = Monitor(running)
    self.loadsLast = loadsLast
  }

  deinit {
    if var running = command.withLock({ $0.take() }) { running.end() }
  }

  func load(from feed: DeviceStateFeed) throws(DeviceFailure) {
    guard let running = command.withLock({ $0.take() }) else {
      preconditionFailure("a target is loaded into once")
    }
    try running.run(until: feed.stop) { (running) throws(DeviceFailure) in
      try running.take(from: feed)
    }
  }
}

/// A command that runs, and what it says on its standard error. All of its processes end when it is stopped.
private struct RunningCommand: ~Copyable {
  private var child: ChildProcess
  private var data: PipeEnd?
  private let errors: PipeEnd
  /// What ends all waiting; `nil` until it is used.
  private var stop: StopSignal?
  /// Where a command gets its word that is not to run yet.
  private var gate: PipeEnd?
  private var message: [UInt8] = []
  private var errorsAreOpen = true

  /// What goes through the pipe: what it writes, or what it reads.
  enum Direction { case output, input }

  /// Bytes of its last words that are kept.
  private static let messageBytes = 2048

  /// What stands before a command that is to wait: in the same line, so that a shell counts its lines as it would without. The standard
  /// input is the gate until then; where that is closed, the command does not run.
  private static let waiting = "read -r _ || exit 1; exec </dev/null; "

  /// Starts `command`.
  ///
  /// - Parameter isHeld: whether it waits for `letGo`: for one that writes.
  init(_ command: String, _ direction: Direction, isHeld: Bool = false) throws(SystemCallError) {
    precondition(direction == .output || !isHeld, "the gate is its standard input")
    let data = try PipePair()
    let errors = try PipePair()
    let nothing = try PipePair.openNull()
    let gate = try PipePair()
    var options = ChildProcess.Options()
    options.standardError = errors.writing.rawValue
    options.standardInput =
      isHeld
      ? gate.reading.rawValue : direction == .input ? data.reading.rawValue : nothing.rawValue
    options.standardOutput = direction == .output ? data.writing.rawValue : nothing.rawValue
    // A session of its own, so that Ctrl-C reaches it through us, and all that it starts can be ended.
    options.startsSession = true
    child = try ChildProcess(
      starting: "/bin/sh", ["-c", isHeld ? Self.waiting + command : command], options)
    let end = direction == .output ? data.takeReading() : data.takeWriting()
    self.data = PipeEnd(end, path: "pipe")
    self.errors = PipeEnd(errors.takeReading(), path: "pipe")
    self.gate = isHeld ? PipeEnd(gate.takeWriting(), path: "pipe") : nil
    self.data?.widen(to: PipeEnd.deviceBytes)
  }

  /// Starts `command` as one that runs at once.
  static func starting(
    _ command: String, _ direction: Direction
  ) throws(DeviceFailure) -> RunningCommand {
    try DeviceFailure.system { () throws(SystemCallError) in
      try RunningCommand(command, direction)
    }
  }

  /// Lets `body` work with it, and waits for its end.
  consuming func run(
    until stop: StopSignal, _ body: (inout RunningCommand) throws(DeviceFailure) -> Void
  ) throws(DeviceFailure) {
    self.stop = stop
    do throws(DeviceFailure) {
      try body(&self)
      try finish()
    } catch {
      end()
      throw error
    }
  }

  /// Gives a held command its word.
  mutating func letGo() throws(DeviceFailure) {
    guard let gate = gate.take() else { preconditionFailure("it is held") }
    let word: [UInt8] = [UInt8(ascii: "\n")]
    var outcome: Result<Int?, SystemCallError> = .success(nil)
    // SAFETY: the array lives for the call.
    unsafe word.withUnsafeBytes { bytes in
      do throws(SystemCallError) {
        outcome = .success(try unsafe gate.writeSome(bytes, until: signal))
      } catch {
        outcome = .failure(error)
      }
    }
    switch outcome {
    case .success(nil): throw .stopped
    case .success: break
    // A shell that has ended already has not understood the command, which it says itself.
    case .failure(let error) where error.errno == .brokenPipe: break
    case .failure(let error): throw .system(error)
    }
  }

  private var signal: StopSignal {
    guard let stop else { preconditionFailure("it is run before it is waited for") }
    return stop
  }

  /// Puts all that it writes into `sink`.
  mutating func put(into sink: DeviceStateSink) throws(DeviceFailure) {
    while unsafe try sink.put({ (memory) throws(DeviceFailure) in try unsafe fill(memory) }) {}
  }

  /// Writes all of `feed` to it.
  mutating func take(from feed: DeviceStateFeed) throws(DeviceFailure) {
    var isRead = true
    while isRead,
      unsafe try feed.next({ (_, bytes) throws(DeviceFailure) in isRead = try unsafe put(bytes) })
    {}
  }

  /// Fills `memory` with what it writes, up to the end. Nil where that was reached before the first byte.
  mutating func fill(_ memory: UnsafeMutableRawBufferPointer) throws(DeviceFailure) -> Int? {
    var count = 0
    while count < memory.count {
      guard try waitForData(POLLIN) else { break }
      let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[count...])
      let got = try DeviceFailure.system { () throws(SystemCallError) in
        unsafe try data?.readSome(into: rest, until: signal)
      }
      guard let got else { throw .stopped }
      if got == 0 { break }
      count += got
    }
    return count == 0 ? nil : count
  }

  /// Gives it all of `bytes` to read. False where it reads no more.
  mutating func put(_ bytes: UnsafeRawBufferPointer) throws(DeviceFailure) -> Bool {
    var count = 0
    while count < bytes.count {
      guard try waitForData(POLLOUT) else { return false }
      let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[count...])
      let put: Int?
      do throws(SystemCallError) {
        put = unsafe try data?.writeSome(rest, until: signal)
      } catch {
        // How it ended says more.
        guard error.errno == .brokenPipe else { throw .system(error) }
        return false
      }
      guard let put else { throw .stopped }
      count += put
    }
    return true
  }

  /// Waits until the pipe of the data is ready, and keeps what comes on the standard error meanwhile. False where the command has ended
  /// and the pipe is not ready: what it left behind in the background may keep that open for ever, and its own end is what counts.
  private mutating func waitForData(_ events: Int32) throws(DeviceFailure) -> Bool {
    guard let descriptor = data?.descriptor else { preconditionFailure("the pipe is open") }
    while true {
      var entries = [(descriptor: descriptor, events: events), (child.descriptor, POLLIN)]
      if errorsAreOpen { entries.append((errors.descriptor, POLLIN)) }
      guard let ready = try wait(for: entries) else { throw .stopped }
      if errorsAreOpen, ready[2] { try keepErrors() }
      if ready[0] { return true }
      if ready[1] { return try isReady(descriptor, events) }
    }
  }

  /// Whether the descriptor is ready now: what a command has written last may have come after the look that found its end.
  private func isReady(_ descriptor: CInt, _ events: Int32) throws(DeviceFailure) -> Bool {
    try DeviceFailure.system { () throws(SystemCallError) in
      try signal.wait(for: [(descriptor, events)], milliseconds: 0)?[0] ?? false
    }
  }

  private func wait(
    for entries: [(descriptor: CInt, events: Int32)]
  ) throws(DeviceFailure) -> [Bool]? {
    try DeviceFailure.system { () throws(SystemCallError) in try signal.wait(for: entries) }
  }

  /// Keeps what is there on the standard error.
  private mutating func keepErrors() throws(DeviceFailure) {
    // As much as a pipe holds: few turns, however much it says.
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    // SAFETY: the array lives for the call.
    let outcome: Result<Int?, SystemCallError> = unsafe bytes.withUnsafeMutableBytes { buffer in
      do throws(SystemCallError) {
        return .success(try unsafe errors.readSome(into: buffer, until: signal))
      } catch {
        return .failure(error)
      }
    }
    let got = try DeviceFailure.system { () throws(SystemCallError) in try outcome.get() }
    guard let got else { throw .stopped }
    if got == 0 { errorsAreOpen = false }
    message = (message + bytes[..<got]).suffix(Self.messageBytes)
  }

  /// Closes the pipe of the data, waits for the end, and holds it against what it should be.
  private mutating func finish() throws(DeviceFailure) {
    data = nil
    // What it left behind in the background may keep the standard error open for ever: its own end is what counts.
    var isOver = false
    while !isOver {
      var entries = [(descriptor: child.descriptor, events: POLLIN)]
      if errorsAreOpen { entries.append((errors.descriptor, POLLIN)) }
      guard let ready = try wait(for: entries) else { throw .stopped }
      isOver = ready[0]
      if errorsAreOpen, ready[1] { try keepErrors() }
    }
    let end = try DeviceFailure.system { () throws(SystemCallError) in try child.wait() }
    guard end != .exited(status: 0) else { return }
    try keepLastErrors()
    throw .command(end, message: text)
  }

  /// Keeps what is still in the pipe.
  private mutating func keepLastErrors() throws(DeviceFailure) {
    while errorsAreOpen, try isReady(errors.descriptor, POLLIN) { try keepErrors() }
  }

  /// The message in one line.
  private var text: String {
    String(decoding: message, as: UTF8.self)
      .split(whereSeparator: \.isNewline).joined(separator: "; ")
  }

  /// Ends it and all that it has started, if it has not ended: politely first.
  mutating func end() {
    data = nil
    guard !child.hasBeenWaitedFor else { return }
    // Its number is its own until it has been waited for.
    child.sendToGroup(SIGTERM)
    child.waitWithoutReaping(for: .milliseconds(500))
    child.sendToGroup(SIGKILL)
  }
}
