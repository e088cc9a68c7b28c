import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage

extension DiffCommand {
  func run() throws {
    var isEqual = false
    try CommandRun.perform(output) { (run) throws(CommandError) in
      if InodeType(at: second) == .socket {
        let report = try withVM(run)
        isEqual = report.outcome.isEqual
        return report
      }
      let outcome = try run.showingProgress("diff", to: nil) {
        (progress, cancellation) throws(ImageError) in
        var comparison = try ImageComparison(
          of: first, with: second, options: channels.options(transfer))
        comparison.readsContents = form.contents
        return try comparison.run(progress: progress, cancellation: cancellation)
      }
      isEqual = outcome.isEqual
      return report(outcome)
    }
    if !isEqual { throw ExitCode(ExitStatus.negative.rawValue) }
  }

  private func report(_ outcome: ImageComparison.Outcome) -> DiffReport {
    DiffReport(
      first: first, second: second, outcome: outcome, showsMap: form.pages,
      width: Terminal.width(of: FileDescriptor.standardOutput.rawValue) ?? 80)
  }

  /// Compares the image with the VM behind the socket.
  private func withVM(_ run: CommandRun) throws(CommandError) -> DiffReport {
    var comparison = VMComparison(of: first, options: channels.options(transfer))
    comparison.readsContents = form.contents
    comparison.allowsLibvirt = machine.managedByLibvirt
    comparison.processID = process.pid
    comparison.watchdogProgram = VMSave.thisProgram
    let outcome = try run.showingProgress("diff") {
      (progress, cancellation) throws(CommandError) in
      try CommandError.vm(to: nil) { () throws(VMError) in
        try comparison.run(
          try VMConnection.open(second, cancellation), progress: progress,
          cancellation: cancellation, onWarning: { run.warn($0.finding) })
      }
    }
    var report = report(outcome.comparison)
    report.isVM = true
    report.pause = outcome.pause
    return report
  }
}
