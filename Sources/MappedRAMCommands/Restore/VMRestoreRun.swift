import ArgumentParser
import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage

/// One run of `restore` into a VM.
struct VMRestoreRun {
  var image: FilePath
  var streamOffset: FileOffset?
  var machine: RestoreMachine
  var devices: RestoreDevices
  /// What a device's state may replace.
  var replacing: Replacing
  var channels: ChannelArguments
  var output: OutputArguments

  func callAsFunction() throws {
    // What is used once inside of closures is taken out of an optional.
    var running: QEMULaunch?
    try CommandRun.perform(output) { (run) throws(CommandError) in
      try run.transfer("restore") { (progress, cancellation) throws(CommandError) in
        try CommandError.vm(to: nil) { () throws(VMError) in
          let source = try open(cancellation)
          let restore = try restore()
          guard let socket = machine.qmp else {
            return try start(restore, source, progress, cancellation, &running)
          }
          let report = try restore.run(
            source, into: try VMConnection.open(socket), progress: progress,
            cancellation: cancellation)
          return VMRestoreText(
            image: image, report: report, devicesLeft: devicesLeft(of: source))
        }
      }
    }
    if let launch = running.take() { try stay(with: launch) }
  }

  private func restore() throws(VMError) -> VMRestore {
    do throws(ImageError) {
      return machine.restore(channels, try devices.targets(replacing: replacing))
    } catch {
      throw .image(error)
    }
  }

  private func open(_ cancellation: Cancellation) throws(VMError) -> RestoreSource {
    do throws(ImageError) {
      return try RestoreSource(
        image.absolute, streamOffset: streamOffset, directIO: channels.directIO,
        cancellation: cancellation)
    } catch {
      throw .image(error)
    }
  }

  /// The devices of the image whose states nobody gets.
  private func devicesLeft(of source: RestoreSource) -> [DeviceIdentity] {
    let given = devices.device.map(\.identity)
    return (source.image.deviceArea?.devices ?? []).map(\.identity).filter { !given.contains($0) }
  }

  /// Starts QEMU and restores into it. `running` is the VM in the foreground afterwards.
  private func start(
    _ restore: VMRestore, _ source: RestoreSource, _ progress: Progress,
    _ cancellation: Cancellation, _ running: inout QEMULaunch?
  ) throws(VMError) -> VMRestoreText {
    let mode = machine.mode
    var launch = VMLaunch(restore, arguments: machine.command)
    launch.mode = mode
    var kept: QEMULaunch?
    let outcome = try launch.run(source, progress: progress, cancellation: cancellation) {
      (launch, outcome) throws(VMError) in
      kept = consume launch
      return outcome
    }
    var text = VMRestoreText(
      image: image, report: outcome.report, notes: outcome.notes,
      devicesLeft: devicesLeft(of: source))
    if case .detached(let socket, let log) = mode {
      if let launch = kept.take() { launch.letGo() }
      text.socket = socket
      text.log = log.path
    } else {
      running = kept.take()
      running?.endConversation()
    }
    return text
  }

  /// Stays with the VM until it ends, and ends as it does.
  private func stay(with launch: consuming QEMULaunch) throws {
    do throws(SystemCallError) {
      try launch.child.waitPassingSignals().endThisProcess()
    } catch {
      Console.complain(error.description)
      throw ExitCode(ExitStatus.ioError.rawValue)
    }
  }
}
