import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat

extension ImageVerification.Outcome {
  /// Why the file is no image at all: what has no header of a stream and nothing of ours behind it is none that is damaged.
  var noImage: FormatError? {
    image.prologue == nil && image.areas == .none && !hasSums ? image.problems.first : nil
  }
}

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
      if let problem = outcome.noImage { throw .image(.format(problem, in: image), output: nil) }
      isWhole = outcome.isWhole
      return VerifyReport(image: image, outcome: outcome, isRoot: form.root)
    }
    if !isWhole { throw ExitCode(ExitStatus.negative.rawValue) }
  }
}
