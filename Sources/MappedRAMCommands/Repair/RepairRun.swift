import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat

extension RepairCommand {
  func run() throws {
    var isWhole = false
    try CommandRun.perform(output) { (run) throws(CommandError) in
      do throws(CommandError) {
        let outcome = try run.showingProgress("repair", to: image) {
          (progress, cancellation) throws(ImageError) in
          try ImageRepair(
            image, from: from, streamOffset: offset.streamOffset,
            options: channels.options(transfer)
          ).run(progress: progress, cancellation: cancellation)
        }
        isWhole = outcome.verification.isWhole
        return RepairReport(image: image, outcome: outcome)
      } catch {
        guard error == .image(.cancelled, output: image) else { throw error }
        throw .interruptedRepair(image)
      }
    }
    if !isWhole { throw ExitCode(ExitStatus.negative.rawValue) }
  }
}
