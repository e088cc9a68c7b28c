import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP
import SystemPackage

/// A save by capture: QEMU gives the device state of the paused VM, the RAM is read from outside.
final class CaptureEngine: SaveEngine {
  static let letsRun = false

  private let job: SaveJob
  private var captured: CapturedVM
  /// A live save, from its first round on.
  private var ongoing: OngoingSave?
  private var hasMadeRounds = false

  private var save: VMSave { job.save }
  private var session: VMSession { job.session }

  /// A save of the memory `memory`.
  init(_ job: SaveJob, _ memory: GuestMemory, _ platform: GuestPlatform) throws(VMError) {
    self.job = job
    captured = CapturedVM(job, memory, platform)
    guard let live = job.live else { return }
    let processID = memory.processID
    do throws(ImageError) {
      ongoing = try job.imageSave(of: captured.head()).begin(
        to: job.save.image, inPlace: job.save.inPlace, replacing: job.save.replacing, live: live,
        guestTime: { Self.processorTime(of: processID) }, progress: job.progress,
        cancellation: job.cancellation)
    } catch {
      throw .image(error)
    }
  }

  /// What QEMU has used of the processors so far; `nil` where it has ended, which is found elsewhere, or /proc hides it.
  private static func processorTime(of processID: Int32) -> Duration? {
    do throws(SystemCallError) {
      return try ProcessorTime.used(by: processID)
    } catch {
      return nil
    }
  }

  func runRounds() throws(VMError) {
    guard !hasMadeRounds else { return }
    do throws(ImageError) {
      try ongoing?.runRounds()
    } catch {
      throw .image(error)
    }
  }

  /// Makes the rounds, unless QEMU's own live save turns out to be the better way: then this save is given up, and nothing is left of it.
  ///
  /// - Parameter obstacles: what is in the way of QEMU's own live save.
  /// - Returns: the choice, of which the last part is whether this save goes on.
  func makeRounds(orElseQEMUBut obstacles: [SaveObstacle]) throws(VMError) -> LiveChoice? {
    guard let live = job.live else { return nil }
    let ram = job.vm.ramByteCount
    var choice: LiveChoice?
    do throws(ImageError) {
      hasMadeRounds = true
      let goesOn = try ongoing?.runRounds { rounds, step in
        let found = LiveChoice(
          after: rounds, step, wanted: live.maximumDowntime, ram: ram, obstacles: obstacles)
        choice = found
        return found.takesQEMU
      }
      if goesOn == false { ongoing = nil }
      return choice
    } catch {
      throw .image(error)
    }
  }

  func pause(_ limit: PauseLimit) throws(VMError) {
    try captured.prepare()
    try captured.pause(limit, mayHaveGrown: ongoing == nil)
  }

  /// The plan of the paused VM.
  func takeState() throws(VMError) -> SavePlan {
    // There is time for it, and who knows what comes.
    defer { session.takeBackFile() }
    return try captured.plan(of: try captured.readState(try session.send(captured.saveState())))
  }

  func write(
    _ plan: SavePlan, memoryIsTaken: () throws(VMError) -> Void
  ) throws(VMError) -> VMSaveReport {
    let written: WrittenSave
    do throws(ImageError) {
      if let ongoing = ongoing.take() {
        written = try ongoing.writePages(plan)
      } else {
        written = try job.imageSave(of: plan).begin(
          to: save.image, inPlace: save.inPlace, replacing: save.replacing, progress: job.progress,
          cancellation: job.cancellation
        ).writePages()
      }
    } catch {
      throw .image(error)
    }
    try memoryIsTaken()
    return try captured.finish(written, plan)
  }

  func checkPause() throws(VMError) { try session.checkPause() }
}
