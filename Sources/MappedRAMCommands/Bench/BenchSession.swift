import LinuxIO
import MappedRAM
import SystemPackage

/// What all contestants of one run share.
final class BenchSession {
  /// Progress and the end on a signal.
  let run: CommandRun
  /// Where files are written.
  let directory: FilePath
  /// Threads that fill and check memory, and measure it.
  let threads = Machine.processors
  /// What was measured so far.
  private(set) var rows: [BenchRow] = []
  /// What went other than asked for, each once.
  private(set) var notes: [String] = []

  init(_ run: CommandRun, directory: FilePath) {
    self.run = run
    self.directory = directory
  }

  /// Throws if the user asked for the end.
  func check() throws(CommandError) {
    if run.cancellation.isCancelled { throw .image(.cancelled, output: nil) }
  }

  /// Adds a sample to the row of `key`, which is made with the first one.
  func add(
    _ sample: BenchSample, to key: BenchRow.Key, ramBytes: UInt64, bytes: UInt64,
    report: TransferReport? = nil, latencies: BenchLatencies? = nil
  ) {
    let index: Int
    if let known = rows.firstIndex(where: { $0.key == key }) {
      index = known
    } else {
      index = rows.count
      rows.append(BenchRow(key: key, ramBytes: ramBytes, bytes: bytes))
    }
    rows[index].samples.append(sample)
    if let latencies { rows[index].latencies.add(latencies) }
    guard let report else { return }
    rows[index].method = report.method
    rows[index].directIO = report.directIO.name
    for note in report.notes { add(note: note.text) }
  }

  /// Adds a note, unless it is known.
  func add(note: String) {
    if !notes.contains(note) { notes.append(note) }
  }

  /// Drops `file` from the page cache before it is read, unless it is read past the cache. All of it is on the disk.
  func dropCache(of file: File) throws(CommandError) {
    if case .active = file.directIO { return }
    try CommandError.system { () throws(SystemCallError) in try file.dropCache() }
    add(note: "Files were dropped from the page cache before they were read.")
  }

  /// Touches as much memory as is about to be touched, and gives it back at once.
  ///
  /// Under a hypervisor, free memory may have been given back to the host, and is then several times as slow at its first touch:
  /// whoever comes first would pay for the others. Measured on a machine of 2 processors under Firecracker: 0.7 to 13 GiB/s.
  func warmMemory(_ byteCount: UInt64) throws(CommandError) {
    let memory = try CommandError.system { () throws(SystemCallError) in
      let memory = try Mapping(anonymousByteCount: Int(byteCount))
      try? memory.advise(.hugePages, 0..<memory.byteCount)
      return memory
    }
    _ = try CommandError.image(to: nil) { () throws(ImageError) in
      try MemoryRate.touch(memory, threads: threads)
    }
  }

  /// Begins to watch this process's memory anew, as far as the kernel does that.
  func watchPeak() throws(CommandError) -> PeakWatch {
    do throws(SystemCallError) {
      try ResourceUsage.forgetMaximum()
    } catch {
      add(note: "The peak of memory is that of the whole run: \(error)")
    }
    return try PeakWatch()
  }
}

/// Something whose speed is measured, a round at a time.
protocol BenchContestant {
  /// Measures everything once and adds the samples to the session.
  mutating func measure(_ session: BenchSession) throws(CommandError)
}
