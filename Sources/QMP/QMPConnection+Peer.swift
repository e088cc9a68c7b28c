import LinuxIO
import LinuxProcesses

extension QMPConnection {
  /// QEMU's version: from the greeting, or asked for once.
  ///
  /// Throws as `execute(_:)`.
  public func qemuVersion() throws(QMPError) -> QEMUVersion {
    if let version { return version }
    let found = try execute(.queryVersion)
    version = found
    return found
  }

  /// Ends QEMU, and waits until it has: it closes the connection when it has closed its disks (QEMU 10.0, system/runstate.c, qemu_cleanup),
  /// which for slow ones takes a while.
  ///
  /// Throws `timedOut` where it is still there after two minutes; as `execute(_:)`.
  public func quit() throws(QMPError) {
    let patience = Duration.seconds(120)
    let deadline = ContinuousClock.now + patience
    do throws(QMPError) {
      try execute(.quit)
      while try nextMessage(for: "quit", deadline: deadline) != nil {}
    } catch {
      guard case .closed("quit", _) = error else { throw error }
      return
    }
    throw .timedOut(command: "quit", path, after: patience)
  }

  /// The process that made the socket which this is connected to; `nil` where it is in a PID namespace
  /// that this process does not see.
  ///
  /// Throws `system`.
  public func peerProcessID() throws(QMPError) -> Int32? {
    let peer = try asQMPError { () throws(SystemCallError) in try socket.peer() }
    return peer.processID > 0 ? peer.processID : nil
  }

  /// The user who made the socket which this is connected to.
  ///
  /// Throws `system`.
  public func peerUserID() throws(QMPError) -> UInt32 {
    try asQMPError { () throws(SystemCallError) in try socket.peer() }.userID
  }
}

extension QMPCommand<QEMUVersion> {
  /// `query-version`; better `QMPConnection.qemuVersion`.
  public static var queryVersion: Self {
    Self("query-version") { answer throws(QMPError) in
      guard let version = QEMUVersion(answer.value) else { throw answer.unexpected("a version") }
      return version
    }
  }
}

extension QMPCommand<Void> {
  /// `quit`: ends QEMU, which may close the connection before or after its answer; better
  /// `QMPConnection.quit`.
  public static var quit: Self { Self("quit") }
}
