import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM
import QEMUControl
import QMP
import SystemPackage

/// Our capture of a VM, our restore by place into another, and a start on the image itself.
struct CaptureContestant: BenchContestant {
  let vm: GuestInVM
  let options: ChannelOptions
  /// Whether the next start on the image is checked. It reads all of the image through the page cache, so only the first is.
  private var checksMap = true

  init(_ vm: GuestInVM, _ options: ChannelOptions) {
    self.vm = vm
    self.options = options
  }

  mutating func measure(_ session: BenchSession) throws(CommandError) {
    let file = try BenchFile.nameless(in: session)
    let path = file.pathForOthers
    try capture(to: path, session)
    if options.directIO == .off { try session.dropCache(of: file) }
    try place(path, session)
    try map(path, session)
  }

  private func key(_ operation: BenchRow.Operation) -> BenchRow.Key {
    let way =
      switch operation {
      case .save: "capture, "
      case .restore: "place, "
      default: ""
      }
    return BenchRow.Key(
      mix: vm.mix.name, operation: operation, contestant: .mappedRAM,
      settings: operation == .map ? "QEMU's start included" : way + options.summary)
  }

  private func capture(to path: FilePath, _ session: BenchSession) throws(CommandError) {
    var save = VMSave(to: path, options: options)
    save.watchdogProgram = VMSave.thisProgram
    save.engine = .capture
    save.inPlace = true
    save.processID = vm.source.processID
    let connection = vm.source.connection
    let before = try vm.source.cpuTime()
    let watch = try BenchWatch(session)
    let report = try session.run.showingProgress("save") {
      (progress, cancellation) throws(CommandError) in
      try CommandError.vm(to: session.directory) { () throws(VMError) in
        try save.run(connection, progress: progress, cancellation: cancellation)
      }
    }
    var sample = watch.sample(of: report.transfer)
    sample.qemuCPUSeconds = (try vm.source.cpuTime() - before).inSeconds
    sample.pauseSeconds = report.pause?.inSeconds
    vm.add(sample, to: key(.save), session, report: report.transfer)
  }

  private func place(_ path: FilePath, _ session: BenchSession) throws(CommandError) {
    let destination = try vm.start(incoming: true, session)
    var restore = VMRestore(options: options)
    restore.engine = .place
    restore.afterwards = .pause
    restore.processID = destination.processID
    let before = try destination.cpuTime()
    let watch = try BenchWatch(session)
    let report = try session.run.showingProgress("restore") {
      (progress, cancellation) throws(CommandError) in
      let source = try source(path)
      return try CommandError.vm(to: nil) { () throws(VMError) in
        try restore.run(
          source, into: destination.connection, progress: progress, cancellation: cancellation)
      }
    }
    var sample = watch.sample(of: report.transfer)
    sample.qemuCPUSeconds = (try destination.cpuTime() - before).inSeconds
    try vm.check(destination, session)
    vm.add(sample, to: key(.restore), session, report: report.transfer)
  }

  private mutating func map(_ path: FilePath, _ session: BenchSession) throws(CommandError) {
    var restore = VMRestore(options: options)
    restore.engine = .map
    restore.afterwards = .pause
    var launch = VMLaunch(
      restore, arguments: vm.configuration.arguments(incoming: false))
    launch.mode = BenchVM.mode
    let (checks, guest) = (checksMap, vm)
    let watch = try BenchWatch(session)
    let source = try source(path)
    var sample = BenchSample(seconds: 0)
    let check: Result<Void, CommandError> = try CommandError.vm(to: nil) { () throws(VMError) in
      try launch.run(source, cancellation: session.run.cancellation) {
        (launch, _) throws(VMError) in
        sample = watch.sample(of: nil)
        guard checks else { return .success(()) }
        let pages: ProcessPages
        do throws(QMPError) {
          let connection = try QMPConnection(socket: launch.control, name: "QEMU")
          pages = try BenchVM.mainMemory(of: connection, launch.child.processID)
        } catch {
          throw .qmp(error)
        }
        return Result { () throws(CommandError) in try guest.check(pages, session) }
      }
    }
    try check.get()
    checksMap = false
    vm.add(sample, to: key(.map), session)
  }

  private func source(_ path: FilePath) throws(CommandError) -> RestoreSource {
    try CommandError.image(to: nil) { () throws(ImageError) in
      try RestoreSource(path.absolute, directIO: options.directIO)
    }
  }
}

/// Measures this process from its making on.
struct BenchWatch {
  private let peak: PeakWatch
  private let start: ContinuousClock.Instant
  private let usage: ResourceUsage

  /// Starts.
  init(_ session: BenchSession) throws(CommandError) {
    peak = try session.watchPeak()
    usage = ResourceUsage.current()
    start = .now
  }

  /// A sample of all that went on since, with the requests of `report`.
  func sample(of report: TransferReport?) -> BenchSample {
    let used = ResourceUsage.current().since(usage)
    var sample = report.map(BenchSample.init) ?? BenchSample(seconds: 0)
    sample.seconds = (ContinuousClock.now - start).inSeconds
    sample.cpuSeconds = used.cpuTime.inSeconds
    sample.peakMemoryBytes = peak.bytes
    return sample
  }
}

/// Files of a measurement.
enum BenchFile {
  /// Makes a file that will not stay: it has no name, or one that goes at once, since it is never committed.
  static func create(
    beside path: FilePath, directIO: DirectIOPolicy
  ) throws(ImageError) -> File {
    try calling { () throws(SystemCallError) in
      try PendingFile.create(at: path, directIO: directIO).file
    }
  }

  /// Opens a file that was measured, for reading.
  static func open(_ path: FilePath, directIO: DirectIOPolicy) throws(CommandError) -> File {
    do throws(SystemCallError) {
      return try File.open(path, access: .read, directIO: directIO)
    } catch {
      throw .image(.system(error), output: nil)
    }
  }

  /// Makes an empty file without a name in the bench's directory: however this process ends, nothing of it stays.
  static func nameless(in session: BenchSession) throws(CommandError) -> File {
    try CommandError.image(to: session.directory) { () throws(ImageError) in
      try create(beside: session.directory.appending("mapped-ram-bench"), directIO: .off)
    }
  }
}

extension File {
  /// The path by which other processes of this user can open a file without a name, as long as this process has it open
  /// (proc_pid_fd(5)).
  var pathForOthers: FilePath { FilePath("/proc/\(getpid())/fd/\(bufferedDescriptor)") }
}

extension FilePath {
  /// Removes the file, if it is there. An error has nobody to go to.
  func removeFile() {
    // SAFETY: the path's bytes end with a zero and live for the call.
    _ = unsafe withPlatformString { unsafe unlink($0) }
  }
}
