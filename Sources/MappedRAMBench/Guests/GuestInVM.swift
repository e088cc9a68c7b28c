import LinuxIO
import MappedRAM
import QEMUControl

/// A VM whose memory is that of the made-up guest, and how others like it are started.
struct GuestInVM {
  let mix: String
  let pattern: SyntheticPattern
  let configuration: BenchVM.Configuration
  /// The VM that is saved; paused.
  let source: BenchVM
  private let presentBytes: UInt64

  /// Starts the VM and fills its memory from outside.
  init(
    _ mix: String, _ pattern: SyntheticPattern, _ configuration: BenchVM.Configuration,
    _ session: BenchSession
  ) throws(BenchError) {
    try BenchError.requireMemory(pattern.byteCount * 2, canBeMade: false)
    self.mix = mix
    self.pattern = pattern
    self.configuration = configuration
    presentBytes = pattern.presentBytes
    let source = try BenchVM(configuration, incoming: false)
    self.source = source
    let guest = try GuestInMemory.made(pattern)
    try BenchError.image(to: nil) { () throws(ImageError) in
      try guest.fill(
        source.pages, threads: session.threads, cancellation: session.cancellation)
    }
  }

  /// Starts another VM, and counts how long that takes.
  func start(incoming: Bool, _ session: BenchSession) throws(BenchError) -> BenchVM {
    try session.check()
    let vm = try BenchVM(configuration, incoming: incoming)
    add(
      BenchSample(seconds: vm.startSeconds),
      to: BenchRow.Key(
        mix: mix, operation: .start, contestant: .qemu, settings: .start),
      session)
    if incoming { try session.warmMemory(pattern.byteCount) }
    return vm
  }

  /// Looks whether a VM has the guest's memory.
  ///
  /// - Throws: `mismatch`.
  func check(_ vm: BenchVM, _ session: BenchSession) throws(BenchError) {
    try check(vm.pages, session)
  }

  /// Looks whether these pages are the guest's memory.
  ///
  /// - Throws: `mismatch`.
  func check(_ pages: ProcessPages, _ session: BenchSession) throws(BenchError) {
    let guest = try GuestInMemory.made(pattern)
    try BenchError.image(to: nil) { () throws(ImageError) in
      try guest.check(pages, threads: session.threads, cancellation: session.cancellation)
    }.require()
  }

  /// Adds a sample about all of the guest.
  func add(
    _ sample: BenchSample, to key: BenchRow.Key, _ session: BenchSession,
    report: TransferReport? = nil
  ) {
    let moves = key.operation == .save || key.operation == .restore
    session.add(
      sample, to: key, ramBytes: moves ? pattern.byteCount : 0, bytes: moves ? presentBytes : 0,
      report: report)
  }
}
