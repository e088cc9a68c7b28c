import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat

extension RepairCommand {
  func run() throws {
    var isWhole = false
    try CommandRun.perform(output) { (run) throws(CommandError) in
      let outcome = try CommandError.leaving(.partlyRepaired, of: image) {
        () throws(CommandError) in
        try run.showingProgress("repair", to: image) {
          (progress, cancellation) throws(ImageError) in
          try ImageRepair(
            image, from: from, streamOffset: offset.streamOffset,
            options: channels.options(transfer)
          ).run(progress: progress, cancellation: cancellation)
        }
      }
      if let problem = outcome.verification.noImage {
        throw .image(.format(problem, in: image), output: image)
      }
      isWhole = outcome.verification.isWhole
      return RepairReport(image: image, outcome: outcome)
    }
    if !isWhole { throw ExitCode(ExitStatus.negative.rawValue) }
  }
}
