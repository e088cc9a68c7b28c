import LinuxIO
import MappedRAM

/// The made-up guest whose memory is saved, and fresh memory to restore it into.
struct GuestInMemory {
  let pattern: SyntheticPattern
  private let kind: BenchMemoryKind
  /// Filled; `nil` where the pages are made when they are wanted.
  private let memory: BenchMemory?
  /// The guest that makes them.
  private let maker: SyntheticGuest?

  /// Fills memory of the kind that is wanted.
  init(
    _ pattern: SyntheticPattern, _ kind: BenchMemoryKind, _ session: BenchSession
  ) throws(BenchError) {
    self.pattern = pattern
    self.kind = kind
    guard kind != .made else {
      memory = nil
      maker = try Self.made(pattern)
      return
    }
    // The guest's, and as much again for what is restored.
    try BenchError.requireMemory(pattern.byteCount * 2, canBeMade: true)
    let memory = try BenchMemory(isShared: kind == .shared, byteCount: pattern.byteCount)
    let guest = try Self.made(pattern)
    try memory.withPages { (pages) throws(ImageError) in
      try guest.fill(pages, threads: session.threads, cancellation: session.cancellation)
    }
    self.memory = memory
    maker = nil
  }

  /// What a save reads.
  var source: any PageSource {
    get throws(BenchError) {
      if let memory { return try memory.source }
      return try made()
    }
  }

  /// Where a restore goes, to be looked at afterwards.
  struct Target {
    let pages: any PageTarget
    fileprivate let memory: BenchMemory?
    fileprivate let check: SyntheticCheck?
  }

  /// Memory that nobody has touched yet.
  func freshTarget(_ session: BenchSession) throws(BenchError) -> Target {
    guard kind != .made else {
      let check = SyntheticCheck(try made())
      return Target(pages: check, memory: nil, check: check)
    }
    try session.warmMemory(pattern.byteCount)
    let memory = try BenchMemory(isShared: kind == .shared, byteCount: pattern.byteCount)
    return Target(pages: memory.target, memory: memory, check: nil)
  }

  /// Looks at every byte that was restored.
  ///
  /// - Throws: `mismatch`.
  func check(_ target: Target, _ session: BenchSession) throws(BenchError) {
    if let check = target.check { return try check.require() }
    guard let memory = target.memory else { return }
    let guest = try Self.made(pattern)
    try memory.withPages { (pages) throws(ImageError) in
      try guest.check(
        pages, threads: session.threads, cancellation: session.cancellation)
    }.require()
  }

  private func made() throws(BenchError) -> SyntheticGuest {
    if let maker { return maker }
    return try Self.made(pattern)
  }

  static func made(_ pattern: SyntheticPattern) throws(BenchError) -> SyntheticGuest {
    try BenchError.system { () throws(SystemCallError) in try SyntheticGuest(pattern) }
  }
}

extension SyntheticCheck {
  /// Throws `mismatch` unless every page is as the guest made it.
  func require() throws(BenchError) {
    guard !isGood else { return }
    throw .mismatch(
      PageMismatches(
        count: mismatchedPages, first: firstMismatch ?? 0, checked: checkedPages,
        expected: byteCount / SyntheticPattern.pageBytes))
  }
}
