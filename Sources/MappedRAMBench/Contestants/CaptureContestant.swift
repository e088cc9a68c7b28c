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
  /// The image's layout; `nil` for that of a capture.
  let layout: SlotLayout?
  /// Whether the next start on the image is checked. It reads all of the image through the page cache, so only the first is.
  private var checksMap = true

  init(_ vm: GuestInVM, _ options: ChannelOptions, _ layout: SlotLayout?) {
    self.layout = layout
    self.vm = vm
    self.options = options
  }

  mutating func measure(_ session: BenchSession) throws(BenchError) {
    let file = try BenchFile.nameless(in: session)
    let path = file.pathForOthers
    try capture(to: path, session)
    if options.directIO == .off { try session.dropCache(of: file) }
    try place(path, session)
    try map(path, session)
  }

  private func key(_ operation: BenchRow.Operation) -> BenchRow.Key {
    let settings: BenchRow.Settings =
      switch operation {
      case .save: .capture(options)
      case .restore: .place(options)
      default: .map
      }
    return BenchRow.Key(
      mix: vm.mix, operation: operation, contestant: .mappedRAM, settings: settings,
      layout: layout)
  }

  private func capture(to path: FilePath, _ session: BenchSession) throws(BenchError) {
    var save = VMSave(to: path, options: options)
    save.watchdogProgram = Bench.thisProgram
    save.engine = .capture
    save.inPlace = true
    save.layout = layout
    save.processID = vm.source.processID
    let connection = vm.source.connection
    let before = try vm.source.cpuTime()
    let watch = try BenchWatch(session)
    let report = try session.transfer(.save) { (progress, cancellation) throws(BenchError) in
      try BenchError.vm(to: session.directory) { () throws(VMError) in
        try save.run(connection, progress: progress, cancellation: cancellation)
      }
    }
    var sample = watch.sample(of: report.transfer)
    sample.qemuCPUSeconds = (try vm.source.cpuTime() - before).inSeconds
    sample.pauseSeconds = report.pause?.inSeconds
    vm.add(sample, to: key(.save), session, report: report.transfer)
  }

  private func place(_ path: FilePath, _ session: BenchSession) throws(BenchError) {
    let destination = try vm.start(incoming: true, session)
    var restore = VMRestore(options: options)
    restore.engine = .place
    restore.afterwards = .pause
    restore.processID = destination.processID
    let before = try destination.cpuTime()
    let watch = try BenchWatch(session)
    let report = try session.transfer(.restore) {
      (progress, cancellation) throws(BenchError) in
      let source = try source(path)
      return try BenchError.vm(to: nil) { () throws(VMError) in
        try restore.run(
          source, into: destination.connection, progress: progress, cancellation: cancellation)
      }
    }
    var sample = watch.sample(of: report.transfer)
    sample.qemuCPUSeconds = (try destination.cpuTime() - before).inSeconds
    try vm.check(destination, session)
    vm.add(sample, to: key(.restore), session, report: report.transfer)
  }

  private mutating func map(_ path: FilePath, _ session: BenchSession) throws(BenchError) {
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
    let check: Result<Void, BenchError> = try BenchError.vm(to: nil) { () throws(VMError) in
      try launch.run(source, cancellation: session.cancellation) {
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
        return Result { () throws(BenchError) in try guest.check(pages, session) }
      }
    }
    try check.get()
    checksMap = false
    vm.add(sample, to: key(.map), session)
  }

  private func source(_ path: FilePath) throws(BenchError) -> RestoreSource {
    try BenchError.image(to: nil) { () throws(ImageError) in
      try RestoreSource(path, directIO: options.directIO)
    }
  }
}
