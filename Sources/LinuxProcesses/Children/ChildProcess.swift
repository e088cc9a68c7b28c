import CLinux
import Glibc
package import LinuxIO
import SystemPackage

/// A program that this process has started, killed when the value goes, unless it has ended, was let go, or is to outlive its parent.
///
/// While it is held and runs, a small process watches over it (`GuardOfSeveral`, `ChildGuard`): if this process ends in any way, also by
/// SIGKILL, the program is killed.
///
/// The program may be a script that starts another one, and that would be left: `Options.farewell` and `hold(_:)` are for this.
package struct ChildProcess: ~Copyable, Sendable {
  /// The number of the process.
  package let processID: Int32
  /// Whether it gets the signals of this process's terminal.
  package let sharesTerminal: Bool
  private let handle: ProcessHandle
  /// The guard of a program that is told something before it is killed, or the one of all others.
  private var watcher: ChildGuard?
  private var ward: GuardOfSeveral.Ward?
  private let farewell: Farewell?
  /// Processes that it has started, and that end with it.
  private var companions: [ChildGuard] = []
  private var end: ChildEnd?
  private var isHeld: Bool

  /// What a program gets besides its arguments.
  package struct Options: Sendable {
    /// Descriptors that it inherits, under their own numbers. Those that this process inherited itself, and which are not
    /// close-on-exec, it inherits in any case.
    package var descriptors: [CInt] = []
    /// Its standard input; nil for this process's own.
    package var standardInput: CInt?
    /// Its standard output; nil for this process's own.
    package var standardOutput: CInt?
    /// Its standard error; nil for this process's own.
    package var standardError: CInt?
    /// Whether it leads a session of its own, out of reach of this process's terminal.
    package var startsSession = false
    /// Whether it runs on when the value goes, and when this process ends.
    package var outlivesParent = false
    /// What is said before it is killed.
    package var farewell: Farewell?

    /// Nothing but what this process has.
    package init() {}
  }

  /// Words after which a program, or one that it has started and that has the other end of a socket, ends by itself.
  package struct Farewell: Sendable {
    /// Our end of the socket.
    package var socket: UnixSocket
    /// The words.
    package var bytes: [UInt8]
    /// How long the program itself may take to end before it is killed, in whole seconds. Whoever else hears the words has a minute.
    package var patience: Duration

    /// A farewell of its parts.
    package init(socket: UnixSocket, bytes: [UInt8], patience: Duration) {
      self.socket = socket
      self.bytes = bytes
      self.patience = patience
    }
  }

  /// Starts `program`, which is looked for in PATH unless it has a slash.
  ///
  /// It has this process's environment and directory, no signal blocked, and SIGPIPE's default action. If this process
  /// ignored SIGCHLD, it does so no longer.
  ///
  /// - Throws: what execve(2) gives, as `execvp`: ENOENT where there is no such program; pidfd_open(2); fork(2).
  package init(
    starting program: String, _ arguments: [String] = [], _ options: Options = Options()
  ) throws(SystemCallError) {
    try self.init(starting: program, arguments, options, beforeItRuns: {})
  }

  /// As the other; `beforeItRuns` is called once there is a process that is not the program yet. For tests.
  init(
    starting program: String, _ arguments: [String], _ options: Options = Options(),
    beforeItRuns: () -> Void
  ) throws(SystemCallError) {
    var spawned = CLinux_Spawned()
    try check(Self.spawn(program, arguments, options, &spawned), .fork, .process)
    let started = spawned.process
    beforeItRuns()
    let handle: ProcessHandle
    // The program runs only once it is watched over: at no moment can it be left behind.
    do throws(SystemCallError) {
      handle = try ProcessHandle(started)
      if !options.outlivesParent {
        if options.farewell != nil {
          watcher = try ChildGuard(over: handle, farewell: options.farewell)
        } else {
          ward = try GuardOfSeveral.watch(over: handle)
        }
      }
    } catch {
      Self.drop(&spawned)
      throw error
    }
    // SAFETY: the process was made above, and is let run once.
    let result = unsafe CLinux_letRun(&spawned)
    guard result == 0 else {
      _ = Self.reap(started, blocks: true)
      throw SystemCallError(
        call: .execvp, errno: Errno(rawValue: -result), subject: .file(FilePath(program)))
    }
    processID = started
    self.handle = handle
    sharesTerminal = !options.startsSession
    isHeld = !options.outlivesParent
    farewell = options.farewell
  }

  deinit {
    guard isHeld else { return }
    if end == nil {
      if let farewell, let watcher {
        watcher.act(within: farewell.patience + Self.guardPatience)
      }
      // The guard may have been killed. An error cannot be reported here.
      try? handle.signal(SIGKILL)
      _ = Self.reap(processID, blocks: true)
    }
    for companion in companions { companion.act(within: Self.guardPatience) }
  }

  /// How long a guard's own steps may take: it listens for a second more.
  private static let guardPatience = Duration.seconds(3)

  /// Lets `process`, which the program has started, end with it: it is killed when the value goes or this process ends in any way, unless
  /// the program was let go.
  ///
  /// - Throws: what fork(2) and socketpair(2) give.
  package mutating func hold(_ process: ProcessHandle) throws(SystemCallError) {
    companions.append(try ChildGuard(over: process))
  }

  /// A descriptor that poll(2) finds readable once the process has ended; valid as long as the value lives.
  package var descriptor: CInt { handle.descriptor }

  /// Sends a signal. Nothing happens to a process that has ended.
  ///
  /// - Throws: what pidfd_send_signal(2) gives; EPERM for a program that has become another user.
  package func send(_ signal: CInt) throws(SystemCallError) {
    try handle.signal(signal)
  }

  /// Sends a signal to all processes of the session that the process leads, and which is as old as it. Nothing happens where there
  /// are none.
  ///
  /// - Precondition: it was started with `startsSession`, and its end has not been asked for.
  package func sendToGroup(_ signal: CInt) {
    precondition(!sharesTerminal && end == nil, "a leader whose number is still its own")
    kill(-processID, signal)
  }

  /// Whether its end has been asked for and told: its number may be another process's now.
  package var hasBeenWaitedFor: Bool { end != nil }

  /// Waits until it has ended, but for at most `duration`; its number stays its own.
  package func waitWithoutReaping(for duration: Duration) {
    _ = handle.wait(for: duration)
  }

  /// How the process has ended; nil while it runs.
  ///
  /// - Throws: what waitid(2) gives: ECHILD where the status has been taken already.
  package mutating func endIfOver() throws(SystemCallError) -> ChildEnd? {
    if let end { return end }
    end = try Self.reap(processID, blocks: false).get()
    if end != nil { dismissWatcher() }
    return end
  }

  /// Waits until the process has ended.
  ///
  /// - Throws: as `endIfOver`.
  package mutating func wait() throws(SystemCallError) -> ChildEnd {
    if let end { return end }
    guard let found = try Self.reap(processID, blocks: true).get() else {
      preconditionFailure("waitid came back before the process had ended")
    }
    end = found
    dismissWatcher()
    return found
  }

  /// Waits until the process has ended, but for at most `duration`; then nil.
  ///
  /// - Throws: as `endIfOver`.
  package mutating func wait(for duration: Duration) throws(SystemCallError) -> ChildEnd? {
    let deadline = ContinuousClock.now + duration
    while true {
      if let end = try endIfOver() { return end }
      let left = deadline - .now
      guard left > .zero else { return nil }
      waitWithoutReaping(for: left)
    }
  }

  /// There is nothing to be watched over any more, but for what the program may have left.
  private mutating func dismissWatcher() {
    if farewell != nil { watcher?.act(within: Self.guardPatience) }
    watcher = nil
    ward = nil
  }

  /// Lets the process run on when this one ends.
  package consuming func letGo() {
    isHeld = false
  }

  private static func drop(_ spawned: inout CLinux_Spawned) {
    // SAFETY: the process was made, and not let run.
    unsafe CLinux_dropSpawned(&spawned)
    _ = reap(spawned.process, blocks: true)
  }

  /// How the child `process` has ended; nil where it still runs and `blocks` is not set. The kernel
  /// tells it once.
  static func reap(
    _ process: Int32, blocks: Bool
  ) -> Result<ChildEnd?, SystemCallError> {
    var (how, status): (Int32, Int32) = (0, 0)
    // SAFETY: both numbers are written before the call returns, and are not kept.
    let result = unsafe CLinux_waitChild(process, blocks ? 1 : 0, &how, &status)
    if result < 0 {
      return .failure(
        SystemCallError(call: .waitid, errno: Errno(rawValue: -result), subject: .process))
    }
    return .success(result == 0 ? nil : ChildEnd(how: how, status: status))
  }

  /// 0, or an error number with its sign turned.
  private static func spawn(
    _ program: String, _ arguments: [String], _ options: Options, _ spawned: inout CLinux_Spawned
  ) -> Int32 {
    var words: [UnsafeMutablePointer<CChar>?] = unsafe ([program] + arguments).map {
      unsafe strdup($0)
    }
    unsafe words.append(nil)
    // SAFETY: strdup gave them.
    defer { unsafe words.forEach { unsafe free($0) } }
    let standard = (
      options.standardInput ?? -1, options.standardOutput ?? -1, options.standardError ?? -1
    )
    // SAFETY: the words end with a nil, and all of it lives for the call, which keeps nothing.
    return unsafe options.descriptors.withUnsafeBufferPointer { descriptors in
      var request = unsafe CLinux_SpawnOptions(
        descriptors: descriptors.baseAddress, descriptorCount: Int32(descriptors.count),
        standard: standard, startsSession: options.startsSession ? 1 : 0)
      return unsafe CLinux_spawn(program, words, &request, &spawned)
    }
  }
}
