import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// The engine of save and restore, with the memory of a made-up guest.
struct EngineContestant: BenchContestant {
  let mix: String
  let guest: GuestInMemory
  let options: ChannelOptions
  /// The image's layout; `nil` for QEMU's.
  let layout: SlotLayout?

  mutating func measure(_ session: BenchSession) throws(BenchError) {
    let path = session.directory.appending("mapped-ram-bench.img")
    let source = try guest.source
    let plan = try BenchError.image(to: session.directory) { () throws(ImageError) in
      try SyntheticGuest.plan(of: source, for: path, slots: layout ?? .qemu)
    }
    let (file, written) = try save(plan, path, session)
    try session.dropCache(of: file)
    try restore(file, presentBytes: written.presentBytes, session)
  }

  private func key(_ operation: BenchRow.Operation) -> BenchRow.Key {
    BenchRow.Key(
      mix: mix, operation: operation, contestant: .mappedRAM, settings: .engine(options),
      layout: layout)
  }

  private func save(
    _ plan: SavePlan, _ path: FilePath, _ session: BenchSession
  ) throws(BenchError) -> (File, TransferReport) {
    let recorder = LatencyRecorder()
    let save = ImageSave(plan, options: options).observed(by: recorder)
    let peak = try session.watchPeak()
    let (file, report) = try session.transfer(.save, to: session.directory) {
      (progress, cancellation) throws(ImageError) in
      let file = try BenchFile.create(beside: path, directIO: options.directIO)
      return (file, try save.run(into: file, progress: progress, cancellation: cancellation))
    }
    var sample = BenchSample(report)
    sample.peakMemoryBytes = peak.bytes
    session.add(
      sample, to: key(.save), ramBytes: report.ramBytes,
      bytes: report.presentBytes, report: report, latencies: recorder.latencies)
    return (file, report)
  }

  private func restore(
    _ file: File, presentBytes: UInt64, _ session: BenchSession
  ) throws(BenchError) {
    let target = try guest.freshTarget(session)
    let recorder = LatencyRecorder()
    let restore = ImageRestore(file, options: options).observed(by: recorder)
    let peak = try session.watchPeak()
    let report = try session.transfer(.restore, to: session.directory) {
      (progress, cancellation) throws(ImageError) in
      try restore.run(progress: progress, cancellation: cancellation) { _ in target.pages }.report
    }
    var sample = BenchSample(report)
    sample.peakMemoryBytes = peak.bytes
    try guest.check(target, session)
    session.add(
      sample, to: key(.restore), ramBytes: report.ramBytes,
      bytes: report.presentBytes, report: report, latencies: recorder.latencies)
  }
}
