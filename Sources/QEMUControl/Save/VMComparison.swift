import LinuxIO
import LinuxProcesses
public import MappedRAM
import MappedRAMFormat
public import QMP
public import SystemPackage

/// Compares an image with a VM as it is now: what has changed since.
///
/// The VM is paused as for a save, its memory is read from outside, and it is then what it was. Nothing is written.
public struct VMComparison: Sendable {
  /// The image.
  public var image: FilePath
  /// Whether a VM that libvirt manages is compared too. libvirt does not expect another client to pause it.
  public var allowsLibvirt = false
  /// How long the VM may be paused, at most; as `VMSave.maximumDowntime`.
  public var maximumDowntime: Duration?
  /// The program that resumes the VM if this process ends in the middle; as `VMSave.watchdogProgram`.
  public var watchdogProgram = "mapped-ram"
  /// Whether the image's pages are read although it has sums of them.
  public var readsContents = false
  /// How the channels work.
  public var options: ChannelOptions
  /// QEMU's process where it is not the one that listens at the socket.
  public var processID: Int32?

  /// A comparison with the image at `image`.
  public init(of image: FilePath, options: ChannelOptions = .standard) {
    self.image = image
    self.options = options
  }

  /// What was found.
  public struct Outcome: Sendable {
    /// What differs between the image, which is the first, and the VM.
    public var comparison: ImageComparison.Outcome
    /// How long the VM was paused; `nil` for one that was paused before.
    public var pause: Duration?
  }

  /// Compares with the VM behind `connection`.
  ///
  /// Whatever goes wrong, also the sudden end of this process, the VM is afterwards what it was before.
  ///
  /// - Parameter onWarning: told what does not stop the comparison, before the VM is paused.
  /// - Throws: `VMError`; `cannotCapture` where the VM's memory cannot be read.
  public func run(
    _ connection: QMPConnection, progress: TransferProgress = TransferProgress(),
    cancellation: Cancellation = Cancellation(), onWarning: (VMSaveWarning) -> Void = { _ in }
  ) throws(VMError) -> Outcome {
    // Refused before the VM is touched.
    let file: File
    do throws(ImageError) {
      file = try ImageFile(opening: image, directIO: options.directIO).file
      let found = try Image(reading: file, cancellation: cancellation)
      if let problem = found.problems.first { throw .format(problem, in: image) }
    } catch {
      throw .image(error)
    }
    // No image is written; it is told what errors are about.
    var save = VMSave(to: image, options: options)
    save.allowsLibvirt = allowsLibvirt
    save.maximumDowntime = maximumDowntime
    save.watchdogProgram = watchdogProgram
    save.processID = processID
    save.hasFacts = false
    let (found, pause) = try save.visit(
      connection, progress: progress, cancellation: cancellation, onWarning: onWarning
    ) { (job, memory, platform) throws(VMError) in
      CompareEngine(job, memory, platform, self, file)
    }
    return Outcome(comparison: found, pause: pause)
  }
}

/// Reads a paused VM as a capture does, and compares it with an image in place of writing one.
final class CompareEngine: SaveEngine {
  static let letsRun = false

  private let job: SaveJob
  private var captured: CapturedVM
  private let platform: GuestPlatform
  private let comparison: VMComparison
  private let image: File

  init(
    _ job: SaveJob, _ memory: GuestMemory, _ platform: GuestPlatform,
    _ comparison: VMComparison, _ image: File
  ) {
    self.job = job
    captured = CapturedVM(job, memory, platform)
    self.platform = platform
    self.comparison = comparison
    self.image = image
  }

  func runRounds() {}

  func pause(_ limit: PauseLimit) throws(VMError) {
    try captured.prepare()
    try captured.pause(limit, mayHaveGrown: true)
  }

  func takeState() throws(VMError) -> DeviceStateStream {
    defer { job.session.takeBackFile() }
    return try captured.readState(try job.session.send(captured.saveState()))
  }

  func write(
    _ state: DeviceStateStream, memoryIsTaken: () throws(VMError) -> Void
  ) throws(VMError) -> ImageComparison.Outcome {
    let outcome: ImageComparison.Outcome
    do throws(ImageError) {
      let vm = VMContents(
        path: job.session.connection.path, machineType: job.vm.machineType,
        blocks: try captured.memory.planned(pageSize: platform.pageSize), state: state,
        runState: job.session.stateBefore.inImage)
      var comparison = ImageComparison(image, with: vm, options: job.options)
      comparison.readsContents = self.comparison.readsContents
      outcome = try comparison.run(progress: job.progress, cancellation: job.cancellation)
    } catch {
      throw .image(error)
    }
    try memoryIsTaken()
    return outcome
  }

  func checkPause() throws(VMError) { try job.session.checkPause() }
}
