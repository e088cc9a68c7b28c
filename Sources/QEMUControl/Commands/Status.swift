public import MappedRAMFormat
public import QMP

extension QMPCommand<Void> {
  /// `stop`: stops the processors; no failure where they do not run. QEMU also waits for the
  /// disks' requests under way, hence two minutes.
  public static var stop: Self { Self("stop", timeout: .seconds(120)) }

  /// `cont`: lets the processors run. QEMU takes the disks back first, hence two minutes.
  public static var cont: Self { Self("cont", timeout: .seconds(120)) }
}

extension QMPCommand<RunState> {
  /// `query-status`: what the VM does.
  public static var queryStatus: Self {
    Self("query-status") { answer throws(QMPError) in
      RunState(rawValue: try answer.member("status").string())
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
