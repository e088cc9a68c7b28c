import ArgumentParser
import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage

extension RestoreCommand {
  func run() throws {
    // What is used once inside of closures is taken out of an optional.
    var running: QEMULaunch?
    try CommandRun.perform(output) { (run) throws(CommandError) in
      if let socket {
        try CommandError.check(image, [.socket: ["restore", socket.string, image.string]])
        try CommandError.check(socket, [.directory: ["unpack", image.string, socket.string]])
      }
      return try run.showingProgress("restore") { (progress, cancellation) throws(CommandError) in
        try CommandError.vm(to: nil) { () throws(VMError) in
          let source = try open(cancellation)
          run.warn(ofDamageIn: source.image)
          let restore = try vmRestore()
          guard let socket else {
            return try start(restore, source, progress, cancellation, &running)
          }
          let report = try restore.run(
            source, into: try VMConnection.open(socket, cancellation), progress: progress,
            cancellation: cancellation)
          return RestoreReport(
            image: image, report: report, notes: report.engine == .map ? source.mappingNotes : [],
            devicesLeft: devicesLeft(of: source))
        }
      }
    }
    if let launch = running.take() { try stay(with: launch) }
  }

  /// The restore that is asked for.
  private func vmRestore() throws(VMError) -> VMRestore {
    var restore = VMRestore(options: channels.options(transfer))
    restore.engine = machine.engine
    restore.afterwards = machine.then?.ending ?? .asBefore
    restore.verifies = machine.verify
    restore.processID = process.pid
    restore.allowsChangedDisks = machine.disksChanged
    do throws(ImageError) {
      restore.devices = try devices.targets(replacing: force.replacing)
    } catch {
      throw .image(error)
    }
    return restore
  }

  private func open(_ cancellation: Cancellation) throws(VMError) -> RestoreSource {
    do throws(ImageError) {
      return try RestoreSource(
        image.absolute, streamOffset: offset.streamOffset, directIO: channels.directIO,
        cancellation: cancellation)
    } catch {
      throw .image(error)
    }
  }

  /// The devices of the image whose states are not restored.
  private func devicesLeft(of source: RestoreSource) -> [DeviceIdentity] {
    let given = devices.device.map(\.identity)
    return (source.image.deviceArea?.devices ?? []).map(\.identity).filter { !given.contains($0) }
  }

  /// Starts QEMU and restores into it. `running` is the VM in the foreground afterwards.
  private func start(
    _ restore: VMRestore, _ source: RestoreSource, _ progress: TransferProgress,
    _ cancellation: Cancellation, _ running: inout QEMULaunch?
  ) throws(VMError) -> RestoreReport {
    let mode = machine.mode
    var launch = VMLaunch(restore, arguments: command)
    launch.mode = mode
    launch.cloneDirectory = machine.cloneDisks
    var kept: QEMULaunch?
    let outcome = try launch.run(source, progress: progress, cancellation: cancellation) {
      (launch, outcome) throws(VMError) in
      kept = consume launch
      return outcome
    }
    var report = RestoreReport(
      image: image, report: outcome.report, notes: outcome.notes,
      devicesLeft: devicesLeft(of: source), disks: outcome.disks)
    if case .detached(let socket, let log) = mode {
      if let launch = kept.take() { launch.letGo() }
      report.socket = socket
      report.log = log.path
    } else {
      running = kept.take()
      running?.endConversation()
    }
    return report
  }

  /// Stays with the VM until it ends, and ends as it does.
  private func stay(with launch: consuming QEMULaunch) throws {
    do throws(SystemCallError) {
      try launch.child.waitPassingSignals().endThisProcess()
    } catch {
      // The report has been told by then.
      throw ExitCode(CommandRun.tell(.system(error), output, isOnStdout: false).rawValue)
    }
  }
}
