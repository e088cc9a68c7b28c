import LinuxIO
import MappedRAM

/// Memory alone: what bounds a save of zeros, and a restore.
struct MemoryContestant: BenchContestant {
  let mix: String
  /// Bytes that are read and touched.
  let byteCount: Int

  /// As much as the guest has, but at most 2 GiB: enough for a steady rate.
  init(_ mix: String, guestBytes: UInt64) {
    self.mix = mix
    byteCount = Int(min(guestBytes, 2 << 30))
  }

  mutating func measure(_ session: BenchSession) throws(BenchError) {
    try BenchError.requireMemory(UInt64(byteCount), canBeMade: false)
    try session.warmMemory(UInt64(byteCount))
    try measureOwn(session)
    try session.check()
    try session.warmMemory(UInt64(byteCount))
    try measureOther(session)
  }

  /// Memory of this process.
  private func measureOwn(_ session: BenchSession) throws(BenchError) {
    let memory = try BenchError.system { () throws(SystemCallError) in
      let memory = try Mapping(anonymousByteCount: byteCount)
      try? memory.advise(.hugePages, 0..<byteCount)
      return memory
    }
    let threads = session.threads
    try add(.memoryTouch, .ownProcess, session) { () throws(ImageError) in
      try MemoryRate.touch(memory, threads: threads)
    }
    try add(.memoryRead, .ownProcess, session) { () throws(ImageError) in
      try MemoryRate.read(memory, threads: threads)
    }
  }

  /// Private memory of another process, as QEMU's.
  private func measureOther(_ session: BenchSession) throws(BenchError) {
    let holder = try GuestHolder(byteCount: UInt64(byteCount))
    let threads = session.threads
    try add(.memoryTouch, .processWrite, session) { () throws(ImageError) in
      try MemoryRate.put(into: holder.pages, byteCount: byteCount, threads: threads)
    }
    try add(.memoryRead, .processRead, session) { () throws(ImageError) in
      try MemoryRate.get(from: holder.pages, byteCount: byteCount, threads: threads)
    }
  }

  private func add(
    _ operation: BenchRow.Operation, _ way: BenchRow.MemoryWay, _ session: BenchSession,
    _ body: () throws(ImageError) -> Duration
  ) throws(BenchError) {
    let usage = ResourceUsage.current()
    let elapsed = try BenchError.image(to: nil, body)
    session.add(
      BenchSample(
        seconds: elapsed.inSeconds,
        cpuSeconds: ResourceUsage.current().since(usage).cpuTime.inSeconds),
      to: BenchRow.Key(
        mix: mix, operation: operation, contestant: .memory,
        settings: .memory(threads: session.threads, way)),
      ramBytes: UInt64(byteCount), bytes: UInt64(byteCount))
  }
}
