import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage

/// A running VM whose guest changes memory, and the saves of it.
final class LiveVM {
  private let vm: BenchVM
  private let guest: BusyGuest
  private let bench: LiveBench
  /// The thread of QEMU that runs the guest.
  private let guestThread: Int32?
  /// The guest's huge pages, as they were at first.
  private let hugeMemory: HugeMemory?

  /// How long the guest is looked at before each save, and how long it is left alone before that.
  private static let look: (alone: UInt32, watched: UInt32) = (200_000, 500_000)

  /// Starts the VM, fills its memory from outside, and lets it run.
  init(
    _ guest: Bench.Guest, _ bench: LiveBench, _ session: BenchSession
  ) throws(BenchError) {
    let pattern = guest.pattern
    try BenchError.requireMemory(pattern.byteCount, canBeMade: false)
    let vm = try BenchVM(
      BenchVM.Configuration(
        program: bench.program, byteCount: pattern.byteCount, isShared: bench.isShared,
        firmware: try GuestFirmware(.busy)),
      incoming: false)
    let memory = try GuestInMemory.made(pattern)
    try BenchError.image(to: nil) { () throws(ImageError) in
      try memory.fill(vm.pages, threads: session.threads, cancellation: session.cancellation)
    }
    self.guest = try BusyGuest(beginning: vm)
    guestThread = try vm.talking { (connection) throws(QMPError) in
      try connection.execute(.queryProcessors).first
    }
    let processID = vm.processID
    let connection = vm.connection
    hugeMemory = try BenchError.vm(to: nil) { () throws(VMError) in
      try HugeMemory(ofVMBehind: connection, processID: processID)
    }
    (self.vm, self.bench) = (vm, bench)
  }

  /// From now on its guest changes memory at this rate.
  func change(at rate: DirtyRate) throws(BenchError) { try guest.change(at: rate) }

  /// Saves it once, in the way of `row`, unless that way was refused before.
  func measure(_ row: inout LiveRow, _ session: BenchSession) throws(BenchError) {
    guard row.failure == nil else { return }
    // Each finds the memory as the first one did: QEMU's own snapshot leaves small pages, which makes the next one's pause longer.
    hugeMemory?.mend(session.cancellation)
    usleep(Self.look.alone)
    let first = try guest.progress()
    usleep(Self.look.watched)
    let second = try guest.progress()
    let before = second.rates(since: first)
    row.dirtyRates.append(before.dirtyBytes)
    let file = try BenchFile.nameless(in: session)
    let limit = try SaveTimeLimit(bench.timeLimit, of: session.cancellation)
    let (qemuCPU, watch) = (try cpuTime(), try BenchWatch(session))
    do throws(BenchError) {
      let (key, step) = (row.key, BenchStep.live(row.key.way))
      var sample = try session.transfer(step) { (progress, _) throws(BenchError) in
        key.way == .qemuSnapshot
          ? try self.qemuSnapshot(file, progress, limit.cancellation)
          : try self.save(key, file, progress, limit.cancellation)
      }
      let whole = watch.sample(of: nil)
      let during = try guest.progress().rates(since: second)
      (sample.seconds, sample.cpuSeconds) = (whole.seconds, whole.cpuSeconds ?? 0)
      sample.qemuCPUSeconds = (try cpuTime() - qemuCPU).inSeconds
      sample.guestSpeed = during.passes / max(before.passes, 1e-9)
      sample.dirtyBytesPerSecond = during.dirtyBytes
      row.samples.append(sample)
    } catch .image(.cancelled, _) where limit.isOver {
      try session.check()
      row.timeouts += 1
      try resume()
    } catch .vm(let error, _) {
      // A way that this machine or QEMU does not have. A QEMU that is gone is not one save's own matter: asking it fails.
      try resume()
      row.failure = "\(error)"
    }
  }

  /// One of our saves, or QEMU's own into a mapped-ram file.
  private func save(
    _ key: LiveRow.Key, _ file: File, _ progress: TransferProgress, _ cancellation: Cancellation
  ) throws(BenchError) -> LiveSample {
    let connection = vm.connection
    var save = VMSave(to: file.pathForOthers, options: bench.options)
    save.watchdogProgram = Bench.thisProgram
    save.engine = key.way == .qemu ? .qemu : .capture
    save.layout = key.layout
    save.inPlace = true
    save.processID = vm.processID
    let live = LiveOptions()
    if key.way != .stopped { save.live = live }
    if key.way == .snapshot { save.liveMethod = .snapshot }
    if key.way == .rounds { save.liveMethod = .rounds }
    let written = try writtenByQEMU()
    let report = try BenchError.vm(to: nil) { () throws(VMError) in
      try save.run(connection, progress: progress, cancellation: cancellation)
    }
    var sample = LiveSample()
    sample.downtimeSeconds = report.pause?.inSeconds
    sample.writtenBytes =
      key.way == .qemu ? try writtenByQEMU() - written : report.transfer.totals.bytesWritten
    sample.rounds = report.live?.rounds.count
    sample.sentPages = report.sent?.pages
    sample.isConverged = report.live?.hasConverged
    if key.way == .rounds || key.way == .qemu {
      sample.isWithinDowntimeLimit = report.pause.map { $0 <= live.maximumDowntime }
    }
    return sample
  }

  /// A background snapshot of QEMU's own.
  private func qemuSnapshot(
    _ file: File, _ progress: TransferProgress, _ cancellation: Cancellation
  ) throws(BenchError) -> LiveSample {
    let written = try writtenByQEMU()
    _ = try vm.talking { (connection) throws(QMPError) in try connection.takeEvents() }
    try vm.talking { (connection) throws(QMPError) in
      try connection.execute(.setMigrationCapabilities(["background-snapshot": true]))
      try connection.execute(.setMigrationParameters(["max-bandwidth": 0]))
    }
    defer {
      // It fails only where QEMU is gone, which the next question to it tells.
      try? vm.connection.execute(.setMigrationCapabilities(["background-snapshot": false]))
    }
    try vm.talking { (connection) throws(QMPError) in
      try connection.execute(.migrate(uri: "file:\(file.pathForOthers)"))
    }
    let status = try waitForMigration(progress, cancellation)
    guard status.status == .completed else {
      throw .vm(
        .migrationFailed(file.path, reason: status.errorDescription, hints: []), output: nil)
    }
    // QEMU itself does not sync; all others do.
    try BenchError.system { () throws(SystemCallError) in try file.syncData() }
    var sample = LiveSample()
    let events = try vm.talking { (connection) throws(QMPError) in try connection.takeEvents() }
    sample.downtimeSeconds = Self.downtime(events)
    sample.writtenBytes = try writtenByQEMU() - written
    return sample
  }

  /// Waits until QEMU's migration is over; cancels it where that was asked for.
  private func waitForMigration(
    _ progress: TransferProgress, _ cancellation: Cancellation
  ) throws(BenchError) -> MigrationInfo {
    var isCancelled = false
    while true {
      let info = try vm.talking { (connection) throws(QMPError) in
        try connection.execute(.queryMigrate)
      }
      if let ram = info.ram {
        progress.report(
          totalBytes: ram.total, doneBytes: ram.total - min(ram.remaining, ram.total),
          writtenBytes: ram.transferred)
      }
      if !info.isUnderWay {
        if isCancelled { throw .image(.cancelled, output: nil) }
        return info
      }
      if cancellation.isCancelled, !isCancelled {
        try vm.talking { (connection) throws(QMPError) in try connection.execute(.migrateCancel) }
        isCancelled = true
      }
      usleep(2000)
    }
  }

  /// The time between events that say that the VM was paused and that it was resumed.
  private static func downtime(_ events: [QMPEvent]) -> Double? {
    var total: UInt64?
    var stopped: UInt64?
    for event in events {
      if event.name == "STOP" { stopped = event.microseconds }
      if event.name == "RESUME", let start = stopped.take() {
        total = (total ?? 0) + (event.microseconds &- start)
      }
    }
    return total.map { Double($0) / 1e6 }
  }

  /// Makes sure that the VM runs, as before a save that was ended.
  private func resume() throws(BenchError) {
    try vm.talking { (connection) throws(QMPError) in
      let deadline = ContinuousClock.now + .seconds(30)
      while try connection.execute(.queryMigrate).isUnderWay, .now < deadline { usleep(10_000) }
      if try connection.execute(.queryStatus) != .running { try connection.execute(.cont) }
    }
  }

  /// QEMU's processor time so far, without the guest's.
  private func cpuTime() throws(BenchError) -> Duration {
    let all = try vm.cpuTime()
    guard let guestThread else { return all }
    return try BenchError.system { () throws(SystemCallError) in
      all - (try ProcessorTime.used(byThread: guestThread, of: vm.processID))
    }
  }

  /// Bytes that QEMU has written so far, to files and others.
  private func writtenByQEMU() throws(BenchError) -> UInt64 {
    try BenchError.system { () throws(SystemCallError) in
      try ProcessTransfers.written(by: vm.processID)
    }
  }
}

extension LiveSample {
  fileprivate init() {
    self.init(
      seconds: 0, cpuSeconds: 0, qemuCPUSeconds: 0, guestSpeed: 0, dirtyBytesPerSecond: 0)
  }
}

/// Cancels a save when its time is over, or when everything is cancelled.
private final class SaveTimeLimit {
  let cancellation: Cancellation
  private let state = Monitor(State())
  private let thread: PosixThread<Void, Never>

  private struct State {
    var isDone = false
    var isOver = false
  }

  /// Begins to wait.
  init(_ limit: Duration, of outer: Cancellation) throws(BenchError) {
    let (state, inner) = (state, Cancellation())
    cancellation = inner
    let deadline = ContinuousClock.now + limit
    thread = try BenchError.system { () throws(SystemCallError) in
      try PosixThread(name: "limit") {
        while state.wait(for: .milliseconds(20), until: { $0.isDone ? true : nil }) == nil {
          let isOver = ContinuousClock.now >= deadline
          guard isOver || outer.isCancelled else { continue }
          state.withLock(wakesWaiters: false) { $0.isOver = isOver }
          return inner.cancel()
        }
      }
    }
  }

  deinit { state.withLock { $0.isDone = true } }

  /// Whether the save was cancelled as its time was over.
  var isOver: Bool { state.withLock(wakesWaiters: false) { $0.isOver } }
}
