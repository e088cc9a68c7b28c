import MappedRAM

extension SealCommand {
  func run() throws {
    try CommandRun.perform(output) { (run) throws(CommandError) in
      let seal = ImageSeal(
        image, streamOffset: offset.streamOffset, options: channels.options(transfer))
      do throws(CommandError) {
        let report = try run.showingProgress("seal", to: target.copy ?? image) {
          (progress, cancellation) throws(ImageError) in
          if let copy = target.copy {
            try seal.run(
              copyingTo: copy, replacing: target.force.replacing, progress: progress,
              cancellation: cancellation)
          } else {
            try seal.run(progress: progress, cancellation: cancellation)
          }
        }
        return SealReport(image: image, copy: target.copy, report: report)
      } catch {
        guard target.copy == nil, error == .image(.cancelled, output: image) else { throw error }
        throw .interruptedSealing(image)
      }
    }
  }
}
