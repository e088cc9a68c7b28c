import Glibc
import LinuxIO
import MappedRAM
import SystemPackage

/// The engine between files: an image is taken apart into a directory, and built again from it.
struct DirectoryContestant: BenchContestant {
  let mix: String
  let pattern: SyntheticPattern
  let options: ChannelOptions
  /// The image that is taken apart; it has no name.
  private let image: File

  /// Writes the image.
  init(
    _ mix: String, _ pattern: SyntheticPattern, _ options: ChannelOptions,
    _ session: BenchSession
  ) throws(BenchError) {
    self.mix = mix
    self.options = options
    self.pattern = pattern
    let guest = try GuestInMemory.made(pattern)
    let path = session.directory.appending("mapped-ram-bench.img")
    image = try BenchError.image(to: session.directory) { () throws(ImageError) in
      let file = try BenchFile.create(beside: path, directIO: options.directIO)
      _ = try ImageSave(try guest.plan(for: path), options: options).run(
        into: file, cancellation: session.cancellation)
      return file
    }
  }

  mutating func measure(_ session: BenchSession) throws(BenchError) {
    let parts = session.directory.appending("mapped-ram-bench-\(getpid())")
    var files: [String] = []
    defer {
      for file in files { parts.appending(file).removeFile() }
      Directory.removeIfEmpty(parts)
    }
    try session.dropCache(of: image)
    var watch = try BenchWatch(session)
    let outcome = try session.transfer(.takeApart, to: parts) {
      (progress, cancellation) throws(ImageError) in
      try DirectoryRestore(ImageRestore(image, options: options), to: parts).run(
        progress: progress, cancellation: cancellation)
    }
    files = outcome.files
    let sample = watch.sample(of: outcome.report)
    for file in files {
      try session.dropCache(
        of: try BenchFile.open(parts.appending(file), directIO: options.directIO))
    }
    watch = try BenchWatch(session)
    let path = session.directory.appending("mapped-ram-bench.img")
    let (file, report) = try session.transfer(.build, to: session.directory) {
      (progress, cancellation) throws(ImageError) in
      let file = try BenchFile.create(beside: path, directIO: options.directIO)
      let plan = try SavePlan.ofDirectory(parts, directIO: options.directIO)
      return (
        file,
        try ImageSave(plan, options: options).run(
          into: file, progress: progress, cancellation: cancellation)
      )
    }
    let built = watch.sample(of: report)
    let check = SyntheticCheck(try GuestInMemory.made(pattern))
    _ = try session.transfer(.check, to: session.directory) {
      (progress, cancellation) throws(ImageError) in
      try ImageRestore(file, options: options).run(
        progress: progress, cancellation: cancellation
      ) { _ in check }
    }
    try check.require()
    add(sample, .toDirectory, outcome.report, session)
    add(built, .fromDirectory, report, session)
  }

  private func add(
    _ sample: BenchSample, _ operation: BenchRow.Operation, _ report: TransferReport,
    _ session: BenchSession
  ) {
    session.add(
      sample,
      to: BenchRow.Key(
        mix: mix, operation: operation, contestant: .mappedRAM, settings: .engine(options)),
      ramBytes: report.ramBytes, bytes: report.presentBytes, report: report)
  }
}
