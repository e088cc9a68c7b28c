import LinuxIO
import MappedRAM
import MappedRAMFormat
import QMP

/// A save by QEMU itself, into a file that we open, check and give its name.
final class QEMUEngine: SaveEngine {
  static let letsRun = false

  private let job: SaveJob
  private let settings: ChangedSettings
  private let target: File
  private let isDirect: Bool
  private var file: ForeignDraft?
  private let facts: VMFacts?
  /// From the begin of the save, with what may have been tried before.
  private let stopwatch: Stopwatch

  private var session: VMSession { job.session }

  /// - Throws: where QEMU cannot save this VM.
  init(_ job: SaveJob, since stopwatch: Stopwatch) throws(VMError) {
    let (save, vm) = (job.save, job.vm)
    guard vm.capabilities[Configuration.mappedRAMCapability] != nil else {
      throw .tooOld(vm.version)
    }
    try Self.check(vm.runState)
    let file: ForeignDraft
    do throws(ImageError) {
      // In place, this is the end of what the file held: all that can be asked before has been.
      file = try ForeignDraft.begin(
        at: save.image, inPlace: save.inPlace, replacing: save.replacing, vm: vm.identity,
        directIO: save.options.directIO)
    } catch {
      throw .image(error)
    }
    facts = VMFacts(of: job)
    self.job = job
    self.stopwatch = stopwatch
    target = file.file
    self.file = consume file
    isDirect = target.directIO.isActive && vm.parameters["direct-io"] != nil
    settings = ChangedSettings(
      of: vm, capabilities: [Configuration.mappedRAMCapability, "multifd"],
      parameters: FileMigration.savingParameters(
        direct: isDirect, live: job.live, overhead: LiveChoice.overhead(vm.ramByteCount),
        bytesPerSecond: job.options.bytesPerSecond),
      touched: Set(MigrationEnding.crawl.keys))
    job.session.isWritten(target)
  }

  private static func check(_ state: RunState) throws(VMError) {
    guard state.canMigrate else { throw .notRunning(state) }
  }

  func runRounds() {}

  func pause(_ limit: PauseLimit) throws(VMError) {
    session.note { $0.hadDisks = job.vm.disks.allSatisfy { $0.medium?.isActive ?? true } }
    job.live == nil ? try session.pause(limit) : try session.expectPause(limit)
  }

  func takeState() throws(VMError) {
    if job.live == nil { try Self.check(session.stateBefore) }
    try session.apply(settings)
  }

  func write(
    _: Void, memoryIsTaken: () throws(VMError) -> Void
  ) throws(VMError) -> VMSaveReport {
    let path = try session.lend(target, for: .writing, direct: isDirect)
    let rounds = try FileMigration(session: session, path: job.save.image, live: job.live)
      .save(to: "file:\(path)", job.progress, job.cancellation)
    let facts = facts?.now()
    // The VM's disks are given up until it is resumed: that comes before everything else.
    try memoryIsTaken()
    // Where that fails, it is tried again at the end.
    try? session.tidyUp()
    let (image, clearedPages) = try commit(facts)
    var report = VMSaveReport(
      of: job.vm, by: .qemu, blocks: image.blocks.map(\.idstr), layout: .qemu,
      fileSize: image.fileSize,
      transfer: stopwatch.report(of: image, in: target))
    report.transfer.hasChecksums = job.save.hasChecksums
    report.transfer.base = job.save.base.map { BaseReport(path: $0, obstacle: .writtenByQEMU) }
    if job.live != nil {
      report.live = rounds.report(pause: session.downtime ?? .zero, clearedPages: clearedPages)
    }
    return report
  }

  func checkPause() throws(VMError) {
    // QEMU itself has paused a VM that is saved live.
    job.live == nil ? try session.checkPause() : session.lookAtWrittenImage()
  }

  /// Completes the image.
  ///
  /// - Returns: the image, and how many slots were cleared.
  private func commit(_ facts: ImageFacts?) throws(VMError) -> (Image, clearedPages: Int) {
    guard let file = file.take() else { preconditionFailure("an image is completed once") }
    do throws(ImageError) {
      let cleared = job.live == nil ? 0 : try clearStaleSlots()
      let image = try file.commit(
        facts: facts, checksums: job.save.hasChecksums ? job.save.options : nil,
        runState: session.stateBefore.inImage, progress: job.progress,
        cancellation: job.cancellation,
        beforeCommit: session.keepSnapshots)
      return (image, cleared)
    } catch {
      throw .image(error)
    }
  }

  /// Clears what QEMU has left in slots of pages that became zero while the VM ran.
  ///
  /// - Returns: how many they were.
  private func clearStaleSlots() throws(ImageError) -> Int {
    let image = try Image(reading: target, cancellation: job.cancellation)
    guard image.problems.isEmpty else { return 0 }
    return try StaleSlots.clear(in: image.blocks, of: target, cancellation: job.cancellation)
      .clearedPages
  }
}
