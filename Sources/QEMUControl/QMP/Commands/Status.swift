public import MappedRAMFormat

extension QMPCommand<Void> {
  /// `stop`: stops the processors; no failure where they do not run. QEMU also waits for the
  /// disks' requests under way, hence two minutes.
  public static var stop: Self { Self("stop", timeout: .seconds(120)) }

  /// `cont`: lets the processors run. QEMU takes the disks back first, hence two minutes.
  public static var cont: Self { Self("cont", timeout: .seconds(120)) }

  /// `quit`: ends QEMU, which may close the connection before or after its answer; better
  /// `QMPConnection.quit`.
  public static var quit: Self { Self("quit") }
}

extension QMPCommand<RunState> {
  /// `query-status`: what the VM does.
  public static var queryStatus: Self {
    Self("query-status") { answer throws(QMPError) in
      RunState(rawValue: try answer.member("status").string())
    }
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

extension QMPCommand<String> {
  /// `query-target`: the architecture that is emulated, as in the program's name (`x86_64`).
  public static var queryTarget: Self {
    Self("query-target") { answer throws(QMPError) in try answer.member("arch").string() }
  }

  /// `query-uuid`: what `-uuid` gave; zeros for nothing.
  public static var queryUUID: Self {
    Self("query-uuid") { answer throws(QMPError) in try answer.member("UUID").string() }
  }
}

extension QMPCommand<String?> {
  /// `query-name`: what `-name` gave; `nil` for nothing.
  public static var queryName: Self {
    Self("query-name") { answer throws(QMPError) in try answer.optional("name")?.string() }
  }
}

extension QMPCommand<[Int32]> {
  /// `query-cpus-fast`: for each processor the thread of QEMU that runs it, as QEMU's PID namespace
  /// numbers it (gettid(2)). Several may share one. Does not stop them.
  public static var queryProcessors: Self {
    Self("query-cpus-fast") { answer throws(QMPError) in
      try answer.map { processor throws(QMPError) in
        let number = try processor.member("thread-id")
        guard let thread = Int32(exactly: try number.integer()) else {
          throw number.unexpected("the number of a thread")
        }
        return thread
      }
    }
  }
}

extension QMPCommand<Set<String>> {
  /// `query-chardev`: the labels of the character devices, monitors among them.
  public static var queryCharacterDevices: Self {
    Self("query-chardev") { answer throws(QMPError) in
      Set(try answer.map { device throws(QMPError) in try device.member("label").string() })
    }
  }

  /// `query-commands`: the names of all commands that this QEMU has.
  public static var queryCommands: Self {
    Self("query-commands") { answer throws(QMPError) in
      Set(try answer.map { command throws(QMPError) in try command.member("name").string() })
    }
  }
}

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
}
