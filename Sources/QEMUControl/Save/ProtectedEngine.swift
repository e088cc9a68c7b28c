import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP

/// A capture of a VM that runs, as it is at one moment.
///
/// In a pause of milliseconds QEMU gives the device state and protects the memory, by a background snapshot. From then on QEMU sends each
/// page that the guest is about to change; all others are read from outside, at the speed of any capture, while the VM runs.
final class ProtectedEngine: SaveEngine {
  static let letsRun = true

  private let job: SaveJob
  private var captured: CapturedVM
  private let limit: PauseLimit
  private var ongoing: OngoingSave?
  /// What QEMU sends. It is read until this engine goes, whatever happens: the guest waits for it.
  private let sent: SentPages
  /// QEMU's end, until QEMU has it.
  private var theirs: UnixSocket?
  /// The name by which QEMU knows it.
  private var name = ""
  /// The guest's huge pages, as they were before QEMU protected them.
  private var hugeMemory: HugeMemory?

  private var session: VMSession { job.session }

  /// Room for pages on their way: QEMU, and with it the guest, need not wait until each is read.
  private static let socketBytes: Int32 = 4 << 20
  /// Firmware with its variables has 4 MiB.
  private static let smallBlockBytes: UInt64 = 4 << 20
  /// How often it is looked whether the work is cancelled, while QEMU protects the memory.
  private static let interval = Duration.milliseconds(50)

  /// Looks whether the VM can be saved so, and has QEMU prepared for it where it can: its settings are changed then.
  ///
  /// QEMU asks the kernel when the capability is set. It is taken back until the pause: another client's migration would go by it.
  ///
  /// - Returns: what is in the way.
  static func prepare(
    _ job: SaveJob, _ memory: GuestMemory
  ) throws(VMError) -> [ProtectionObstacle] {
    let obstacles = ProtectionObstacle.all(of: job, memory)
    guard obstacles.isEmpty else { return obstacles }
    do throws(VMError) {
      try job.session.apply(BackgroundSnapshot.settings(of: job.vm))
      try job.session.tidyUp()
      return []
    } catch {
      guard case .qmp(.refused(_, _, let reason)) = error,
        // That of another client, which begins just then.
        (try? job.session.execute(.queryMigrate))?.isUnderWay == false
      else {
        throw job.session.unwind(after: error)
      }
      return [.refused(reason: reason)]
    }
  }

  /// A save of the memory `memory`, of a VM for which all is prepared.
  init(_ job: SaveJob, _ memory: GuestMemory, _ platform: GuestPlatform) throws(VMError) {
    self.job = job
    captured = CapturedVM(job, memory, platform)
    // While the VM runs, only what does not move at all is too long.
    let pause = job.pauseLimit(isResumed: true)
    limit = PauseLimit(total: pause.total, stalled: max(pause.stalled, .seconds(30)))
    do throws(ImageError) {
      let plan = try captured.head()
      let (ours, theirs) = try calling { () throws(SystemCallError) in
        let pair = try UnixSocket.pair(named: "QEMU's background snapshot")
        try pair.1.setSendBuffer(byteCount: Self.socketBytes)
        return pair
      }
      let sent = try SentPages(of: plan, from: ours)
      var ongoing = try job.imageSave(of: plan).begin(
        to: job.save.image, inPlace: job.save.inPlace, replacing: job.save.replacing,
        progress: job.progress, cancellation: job.cancellation)
      ongoing.save(beside: sent)
      job.session.watchdog?.use(stream: ours)
      self.sent = sent
      self.theirs = theirs
      self.ongoing = consume ongoing
    } catch {
      throw job.session.unwind(after: .image(error))
    }
  }

  /// Hands QEMU what it needs: nothing of it is to be done in the pause.
  func runRounds() throws(VMError) {
    guard let theirs = theirs.take() else { preconditionFailure("a save is made once") }
    name = try session.lend(theirs)
    if job.save.afterwards != .quit { hugeMemory = HugeMemory(of: captured.memory) }
  }

  func pause(_ limit: PauseLimit) throws(VMError) {
    try captured.prepare()
    // The later the better: until then another client's migration goes by its own.
    try session.apply(BackgroundSnapshot.settings(of: job.vm))
    try captured.pause(limit, mayHaveGrown: false)
  }

  /// Takes the device state, and has the memory protected.
  func takeState() throws(VMError) -> SavePlan {
    let plan = try captured.plan(
      of: try session.beginProtection(into: name, limit: limit, behind: captured.saveState()) {
        (sent) throws(VMError) in try captured.readState(sent)
      })
    do throws(ImageError) {
      // While QEMU is at it.
      try ongoing?.saveDevices(of: plan)
      try ongoing?.readPages(ofBlocks: smallBlocks)
      let deadline = ContinuousClock.now + min(limit.total, .seconds(600))
      while try !sent.waitUntilHeld(for: Self.interval) {
        try job.cancellation.check()
        guard .now < deadline else { throw .save(.notHeld) }
      }
      try ongoing?.readPages(ofBlocks: try unprotectedBlocks().subtracting(smallBlocks))
    } catch {
      throw reason(error)
    }
    return plan
  }

  /// Blocks that are read at once, before it is known whether QEMU protects them: what it does not protect is hardly among the others.
  private var smallBlocks: Set<Int> {
    let places = captured.memory.places
    return Set(
      places.indices.filter { places[$0].block.usedLength.rawValue <= Self.smallBlockBytes })
  }

  /// The blocks that QEMU does not protect: what the guest sees as ROM, flash memory among it, which QEMU itself writes.
  private func unprotectedBlocks() throws(ImageError) -> Set<Int> {
    try calling { () throws(SystemCallError) in
      var found: Set<Int> = []
      for (index, place) in captured.memory.places.enumerated()
      where try !isProtected(place.addresses) {
        found.insert(index)
      }
      return found
    }
  }

  /// Whether QEMU protects the block at `addresses`, by a page or a few.
  ///
  /// QEMU takes the protection off what it has sent, in ascending order: so the last pages are looked at first. What is not there is not
  /// protected, as where no memory is plugged in.
  private func isProtected(_ addresses: Range<UInt64>) throws(SystemCallError) -> Bool {
    guard let pageMap = captured.memory.pageMap else { return false }
    let count = addresses.upperBound - addresses.lowerBound
    if try pageMap.isProtected(addresses.upperBound - 1) { return true }
    for part in [16, 8, 4, 2, 1] as [UInt64] {
      let start = addresses.upperBound - count / part
      if let found = try pageMap.nextPresent(in: start..<addresses.upperBound),
        try pageMap.isProtected(found.lowerBound)
      {
        return true
      }
    }
    return false
  }

  func write(
    _ plan: SavePlan, memoryIsTaken: () throws(VMError) -> Void
  ) throws(VMError) -> VMSaveReport {
    try memoryIsTaken()
    // As long as the guest may have to wait for a page, something has to move.
    try session.beatWithProgress()
    guard var ongoing = ongoing.take() else { preconditionFailure("an image is written once") }
    let written: WrittenSave
    do throws(ImageError) {
      try ongoing.readPages()
    } catch {
      throw reason(error)
    }
    try session.endProtection(of: job.save.image, isComplete: sent.isComplete)
    session.stopBeating()
    // Where that fails, it is tried again at the end.
    try? session.tidyUp()
    let mending = try mendHugePages()
    do throws(ImageError) {
      written = try ongoing.writePages()
    } catch {
      throw .image(error)
    }
    var report = try captured.finish(written, plan)
    report.hugeMemory = mending.join()
    return report
  }

  /// Begins to give the guest its huge pages back, while the image is completed.
  private func mendHugePages() throws(VMError) -> PosixThread<HugeMemoryReport?, Never> {
    do throws(SystemCallError) {
      return try PosixThread(name: "huge pages") { [hugeMemory, cancellation = job.cancellation] in
        hugeMemory?.mend(cancellation)
      }
    } catch {
      throw .system(error)
    }
  }

  /// The pause alone: what becomes of the VM afterwards is its own affair.
  func checkPause() throws(VMError) { try session.checkPause() }

  /// `error`, or why QEMU does not protect the memory any more.
  private func reason(_ error: ImageError) -> VMError {
    guard case .save(.notHeld) = error else { return .image(error) }
    do throws(VMError) {
      return try session.reasonForNoProtection(of: job.save.image)
    } catch {
      return error
    }
  }
}
