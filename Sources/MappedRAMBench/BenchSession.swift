package import LinuxIO
package import MappedRAM
import SystemPackage

/// What all contestants of one run share.
package final class BenchSession {
  /// Calls its last argument, once, and shows the progress of what that does.
  package typealias Show = (BenchStep, TransferProgress, () -> Void) throws(SystemCallError) -> Void

  /// Where files are written.
  let directory: FilePath
  /// Stops the work.
  let cancellation: Cancellation
  /// Threads that fill and check memory, and measure it.
  let threads = Machine.processors
  /// What was measured so far.
  private(set) var rows: [BenchRow] = []
  /// What went other than asked for, each once.
  private(set) var notes: [BenchNote] = []
  private let show: Show

  init(in directory: FilePath, cancellation: Cancellation, show: @escaping Show) {
    self.directory = directory
    self.cancellation = cancellation
    self.show = show
  }

  /// Throws if a stop was asked for.
  func check() throws(BenchError) {
    if cancellation.isCancelled { throw .image(.cancelled, output: nil) }
  }

  /// Runs a transfer whose progress is shown.
  func transfer<Value>(
    _ step: BenchStep, _ body: (TransferProgress, Cancellation) throws(BenchError) -> Value
  ) throws(BenchError) -> Value {
    let progress = TransferProgress()
    var outcome: Result<Value, BenchError>?
    try BenchError.system { () throws(SystemCallError) in
      try show(step, progress) {
        outcome = Result { () throws(BenchError) in try body(progress, cancellation) }
      }
    }
    guard let outcome else { preconditionFailure("what is shown is done") }
    return try outcome.get()
  }

  /// Runs a transfer of the engine whose progress is shown.
  ///
  /// - Parameter output: what is to be made.
  func transfer<Value>(
    _ step: BenchStep, to output: FilePath,
    _ body: (TransferProgress, Cancellation) throws(ImageError) -> Value
  ) throws(BenchError) -> Value {
    try transfer(step) { (progress, cancellation) throws(BenchError) in
      try BenchError.image(to: output) { () throws(ImageError) in
        try body(progress, cancellation)
      }
    }
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
    rows[index].directIO = report.directIO
    for note in report.notes { add(.channel(note)) }
  }

  /// Adds a note, unless it is known.
  func add(_ note: BenchNote) {
    if !notes.contains(note) { notes.append(note) }
  }

  /// Drops `file` from the page cache before it is read, unless it is read past the cache. All of it is on the disk.
  func dropCache(of file: File) throws(BenchError) {
    if file.directIO.isActive { return }
    try BenchError.system { () throws(SystemCallError) in try file.dropCache() }
    add(.cacheDropped)
  }

  /// Touches as much memory as is about to be touched, and gives it back at once.
  ///
  /// Under a hypervisor, free memory may have been given back to the host, and is then several times as slow at its first touch:
  /// whoever comes first would pay for the others. Measured on a machine of 2 processors under Firecracker: 0.7 to 13 GiB/s.
  func warmMemory(_ byteCount: UInt64) throws(BenchError) {
    let memory = try BenchError.system { () throws(SystemCallError) in
      let memory = try Mapping(anonymousByteCount: Int(byteCount))
      try? memory.advise(.hugePages, 0..<memory.byteCount)
      return memory
    }
    _ = try BenchError.image(to: nil) { () throws(ImageError) in
      try MemoryRate.touch(memory, threads: threads)
    }
  }

  /// Begins to watch this process's memory anew, as far as the kernel does that.
  func watchPeak() throws(BenchError) -> PeakWatch {
    do throws(SystemCallError) {
      try ResourceUsage.forgetMaximum()
    } catch {
      add(.peakOfWholeRun(error))
    }
    return try PeakWatch()
  }
}

/// A transfer whose progress is shown.
package enum BenchStep: Sendable {
  case save, restore
  /// An image is taken apart into a directory, or built from one.
  case takeApart, build
  /// An image is read and compared.
  case check
  /// A running VM is saved.
  case live(LiveRow.Way)
}

/// What went other than asked for, or must be known of a figure.
package enum BenchNote: Equatable, Sendable {
  /// A channel could not work as it was asked to.
  case channel(ChannelNote)
  /// Files were dropped from the page cache before they were read.
  case cacheDropped
  /// The kernel would not forget the peak of memory.
  case peakOfWholeRun(SystemCallError)
  /// QEMU's saves are not durable at their end.
  case qemuDoesNotSync
}

/// Something whose speed is measured, a round at a time.
protocol BenchContestant {
  /// Measures everything once and adds the samples to the session.
  mutating func measure(_ session: BenchSession) throws(BenchError)
}
