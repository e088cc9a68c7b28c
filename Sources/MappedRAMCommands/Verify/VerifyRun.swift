import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat

extension VerifyCommand {
  func run() throws {
    var isWhole = false
    try CommandRun.perform(output) { (run) throws(CommandError) in
      let outcome = try run.showingProgress("verify", to: nil) {
        (progress, cancellation) throws(ImageError) in
        try ImageVerification(
          at: image, streamOffset: offset.streamOffset, options: channels.options(transfer)
        ).run(progress: progress, cancellation: cancellation)
      }
      // What has no header of a stream and nothing of ours behind it is none that is damaged.
      if outcome.image.prologue == nil, outcome.image.areas == .none,
        let problem = outcome.image.problems.first
      {
        throw .image(.format(problem, in: image), output: nil)
      }
      isWhole = outcome.isWhole
      return VerifyReport(image: image, outcome: outcome, isRoot: form.root)
    }
    if !isWhole { throw ExitCode(ExitStatus.negative.rawValue) }
  }
}
