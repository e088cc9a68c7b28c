import LinuxIO
package import LinuxProcesses
package import QEMUArguments
public import SystemPackage

/// A QEMU that this process has started, and a conversation with it.
///
/// QEMU's arguments get a QMP monitor on a socket of ours, beside those that the user asked for. Until `letGo`, QEMU is
/// told to quit, and then killed, when the value goes or this process ends in any way, so that no half-restored VM is left. A VM in the
/// foreground is not let go at all: it ends with this process, as if it had been started in its place.
///
/// The program may be a script or another program that starts QEMU and waits for it: the monitor reaches QEMU all the same.
///
/// If this process ignored SIGCHLD, it does so no longer: how QEMU ended would be lost.
public struct QEMULaunch: ~Copyable {
  /// The process that was started: QEMU, or what has started QEMU.
  package var child: ChildProcess
  /// Our end of the monitor's socket; nothing has been read from it.
  ///
  /// Where QEMU refuses its arguments the socket ends, and `child` has QEMU's status.
  package let control: UnixSocket
  private let messages: UnixSocket?
  private let newLog: NewLog?
  private let socket: MonitorPath?

  /// How QEMU lives beside this process.
  public enum Mode: Equatable, Sendable {
    /// With this process's terminal, inputs and outputs.
    case foreground
    /// In a session of its own, to stay when this process has ended.
    ///
    /// Its outputs go to `log`. For others it has a QMP monitor at `socket`, which QEMU itself makes and removes.
    case detached(socket: FilePath, log: Log)
  }

  /// Where the outputs of a detached QEMU go.
  public enum Log: Equatable, Sendable {
    /// Nowhere: what it writes to its standard error is kept for `takeMessages`, and lost once this process has ended.
    case none
    /// To this file, behind what is there.
    case file(FilePath)
    /// To a new file, which is left only by a QEMU that is let go; `takeMessages` has what is in it.
    case new(FilePath)

    /// The file.
    public var path: FilePath? {
      switch self {
      case .none: nil
      case .file(let path), .new(let path): path
      }
    }
  }

  /// Starts QEMU with the arguments of `commandLine`.
  ///
  /// It inherits the descriptors that this process inherited itself (for `-netdev tap,fd=` and the like), and
  /// `descriptors`, under their own numbers.
  ///
  /// - Throws: `socketInUse`, `socketTaken`, `notALog` or `noReader`; `system`, so where there is no such program.
  package init(
    _ commandLine: QEMUCommandLine, _ mode: Mode = .foreground, inheriting descriptors: [CInt] = []
  ) throws(LaunchError) {
    try Self.checkSockets(of: commandLine)
    var line = commandLine
    var options = ChildProcess.Options()
    let monitor = try LaunchError.system { () throws(SystemCallError) in
      try ControlMonitor(on: &line)
    }
    options.descriptors = descriptors + monitor.descriptors
    options.farewell = ChildProcess.Farewell(
      socket: monitor.ours, bytes: ControlMonitor.farewell, patience: Self.patience)
    var outputs: DetachedOutputs?
    var socket: MonitorPath?
    if case .detached(let path, let log) = mode {
      let opened = try DetachedOutputs(log: log)
      let made = try MonitorPath(path)
      opened.set(in: &options)
      made.addMonitor(to: &line)
      options.startsSession = true
      (outputs, socket) = (opened, made)
    }
    let (program, words) = (line.program, line.words)
    child = try LaunchError.system { () throws(SystemCallError) in
      try withExtendedLifetime((monitor, outputs)) { () throws(SystemCallError) in
        try ChildProcess(starting: program, words, options)
      }
    }
    control = monitor.ours
    messages = outputs?.messages
    newLog = outputs?.newLog
    self.socket = socket
  }

  /// Looks whether a program listens at a socket that QEMU is to make: QEMU takes the path over, and no client comes to that program any
  /// more, also when this QEMU has ended (tried with 10.0.2). Often it is the VM that was saved, which still runs.
  private static func checkSockets(of commandLine: QEMUCommandLine) throws(LaunchError) {
    for (option, path) in commandLine.serverSockets where UnixSocket.isListening(at: FilePath(path))
    {
      throw .socketInUse(path: path, option: option)
    }
  }

  /// How long QEMU may take to quit before it is killed. A script may have something to do behind it.
  private static let patience = Duration.seconds(2)

  /// Ends the conversation. QEMU would keep its events for whoever reads them, for ever; and without one it is killed at the end, and not
  /// told to quit.
  public func endConversation() { control.shutdown() }

  /// Lets QEMU live when this process ends.
  ///
  /// - Returns: the number of the process that was started.
  @discardableResult
  public consuming func letGo() -> Int32 {
    let processID = child.processID
    socket?.keep()
    newLog?.keep()
    child.letGo()
    return processID
  }

  /// What a detached QEMU with a new log, or without one, has written since the last call: some 200 KiB at most of a log, and what a
  /// socket holds.
  public func takeMessages() -> String {
    if let newLog { return newLog.take(limit: 200 << 10) }
    guard let messages else { return "" }
    var bytes: [UInt8] = []
    // A broken socket has no more messages. One that always has more is not read for ever.
    while bytes.count < 1 << 20, let count = try? messages.receive(into: &bytes, deadline: .now),
      count > 0
    {}
    return String(decoding: bytes, as: UTF8.self)
  }
}
