import Glibc
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage

/// QEMU's own save and load, with mapped-ram, multifd and, where the file system does it, direct I/O.
struct QEMUContestant: BenchContestant {
  let vm: GuestInVM
  /// multifd-channels.
  let channels: Int
  let isDirect: Bool

  mutating func measure(_ session: BenchSession) throws(BenchError) {
    let file = try BenchFile.nameless(in: session)
    try save(to: file, session)
    try load(from: file, session)
    session.add(.qemuDoesNotSync)
  }

  private func key(_ operation: BenchRow.Operation) -> BenchRow.Key {
    BenchRow.Key(
      mix: vm.mix, operation: operation, contestant: .qemu,
      settings: .qemu(channels: channels, isDirect: isDirect))
  }

  private func prepare(_ vm: BenchVM) throws(BenchError) {
    try vm.talking { (connection) throws(QMPError) in
      try connection.execute(
        .setMigrationCapabilities(["mapped-ram": true, "multifd": true]))
      try connection.execute(
        .setMigrationParameters([
          "multifd-channels": .integer(Int64(channels)), "max-bandwidth": 0,
          "direct-io": .bool(isDirect),
        ]))
    }
  }

  private func save(to file: File, _ session: BenchSession) throws(BenchError) {
    let vm = vm.source
    try prepare(vm)
    let sample = try sample(of: vm) { () throws(BenchError) in
      try vm.talking { (connection) throws(QMPError) in
        try connection.execute(.migrate(uri: "file:\(file.pathForOthers)"))
      }
      try wait(for: vm, file.path, session)
    }
    // QEMU says "completed" before it has cleaned up; until then the VM cannot be resumed.
    while try runState(of: vm) != .postMigrate {
      try session.check()
      usleep(1000)
    }
    // Out of that state, and as it was, so that the VM can be saved again.
    try vm.talking { (connection) throws(QMPError) in
      try connection.execute(.cont)
      try connection.execute(.stop)
      try connection.execute(
        .setMigrationCapabilities(["mapped-ram": false, "multifd": false]))
    }
    self.vm.add(sample, to: key(.save), session)
    try BenchError.system { () throws(SystemCallError) in try file.syncData() }
    if !isDirect { try session.dropCache(of: file) }
  }

  private func runState(of vm: BenchVM) throws(BenchError) -> RunState {
    try vm.talking { (connection) throws(QMPError) in try connection.execute(.queryStatus) }
  }

  private func load(from file: File, _ session: BenchSession) throws(BenchError) {
    let destination = try vm.start(incoming: true, session)
    try prepare(destination)
    let sample = try sample(of: destination) { () throws(BenchError) in
      try destination.talking { (connection) throws(QMPError) in
        try connection.startIncoming(uri: "file:\(file.pathForOthers)")
      }
      try wait(for: destination, file.path, session)
    }
    try vm.check(destination, session)
    vm.add(sample, to: key(.restore), session)
  }

  private func sample(
    of vm: BenchVM, _ body: () throws(BenchError) -> Void
  ) throws(BenchError) -> BenchSample {
    let before = try vm.cpuTime()
    let start = ContinuousClock.now
    try body()
    let elapsed = ContinuousClock.now - start
    return BenchSample(
      seconds: elapsed.inSeconds, cpuSeconds: (try vm.cpuTime() - before).inSeconds)
  }

  /// Waits until the migration is over, asking every other millisecond.
  private func wait(
    for vm: BenchVM, _ path: FilePath, _ session: BenchSession
  ) throws(BenchError) {
    while true {
      let info = try vm.talking { (connection) throws(QMPError) in
        try connection.execute(.queryMigrate)
      }
      switch info.status {
      case .completed: return
      case .failed: throw .vm(.migrationFailed(path, reason: info.errorDescription), output: nil)
      default: break
      }
      try session.check()
      usleep(2000)
    }
  }
}
