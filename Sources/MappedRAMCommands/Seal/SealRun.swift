import MappedRAM

extension SealCommand {
  func run() throws {
    try CommandRun.perform(output) { (run) throws(CommandError) in
      let seal = ImageSeal(
        image, streamOffset: offset.streamOffset, options: channels.options(transfer))
      let report: TransferReport?
      if let copy = target.copy {
        report = try run.showingProgress("seal", to: copy) {
          (progress, cancellation) throws(ImageError) in
          try seal.run(
            copyingTo: copy, replacing: target.force.replacing, progress: progress,
            cancellation: cancellation)
        }
      } else {
        report = try CommandError.leaving(.unchanged, of: image) { () throws(CommandError) in
          try run.showingProgress("seal", to: image) {
            (progress, cancellation) throws(ImageError) in
            try seal.run(progress: progress, cancellation: cancellation)
          }
        }
      }
      return SealReport(image: image, copy: target.copy, report: report)
    }
  }
}
