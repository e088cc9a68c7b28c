import LinuxIO

/// The memory of buffers that are being filled, moved or emptied: so many and no more, for each lane and in all.
///
/// A lane is one of several users that share the pool. Each always gets a first buffer, however many the others hold, so that
/// none waits for another that is slow.
@safe
final class BufferPool: Sendable {
  /// The memory of all buffers, one behind the other.
  let memory: Mapping
  /// Bytes in a buffer.
  let bufferBytes: Int
  /// Buffers in all.
  let count: Int
  private let limits: Limits
  private let state: Monitor<State>

  /// How many buffers may be out.
  struct Limits: Equatable, Sendable {
    /// Of one lane.
    var perLane: Int
    /// Of all lanes; as many as there are lanes, if that is more.
    var inAll: Int
  }

  private struct State {
    var free: [Int]
    /// Buffers that a lane has; `nil` once it has ended.
    var held: [Int?]
    var isStopped = false
    var peak = 0
    var lanePeaks: [Int]

    /// Open lanes that have no buffer: one is kept for each.
    var keptBack: Int { held.reduce(0) { $0 + ($1 == 0 ? 1 : 0) } }

    mutating func take(_ lane: Int, perLane: Int) -> Int? {
      guard let count = held[lane], count < perLane, count == 0 || free.count > keptBack,
        let index = free.popLast()
      else { return nil }
      held[lane] = count + 1
      lanePeaks[lane] = max(lanePeaks[lane], count + 1)
      return index
    }
  }

  /// A pool for `lanes` lanes. Memory comes as buffers are used.
  ///
  /// - Precondition: `bufferBytes` is a multiple of the page size, and the limits are positive.
  init(lanes: Int, bufferBytes: Int, limits: Limits) throws(SystemCallError) {
    precondition(limits.perLane > 0 && limits.inAll > 0, "a buffer at least")
    // More could never be out at once.
    count = min(max(limits.inAll, lanes), max(lanes, 1) * limits.perLane)
    memory = try Mapping(anonymousByteCount: count * bufferBytes)
    self.bufferBytes = bufferBytes
    self.limits = limits
    state = Monitor(
      State(
        free: Array((0..<count).reversed()), held: Array(repeating: 0, count: lanes),
        lanePeaks: Array(repeating: 0, count: lanes)))
  }

  /// A buffer for `lane`; waits until there is one. `nil` once the pool is stopped.
  func take(for lane: Int) -> Int? {
    let (perLane, count) = (limits.perLane, count)
    return state.wait { state -> Int?? in
      if state.isStopped { return .some(nil) }
      guard let index = state.take(lane, perLane: perLane) else { return nil }
      state.peak = max(state.peak, count - state.free.count)
      return .some(index)
    }
  }

  /// A buffer for `lane`, if it may have one at once.
  func takeIfFree(for lane: Int) -> Int? {
    let (perLane, count) = (limits.perLane, count)
    return state.withLock(wakesWaiters: false) { state in
      guard !state.isStopped, let index = state.take(lane, perLane: perLane) else { return nil }
      state.peak = max(state.peak, count - state.free.count)
      return index
    }
  }

  /// Takes a buffer back.
  func give(_ index: Int, from lane: Int) {
    state.withLock { state in
      state.free.append(index)
      if let count = state.held[lane] { state.held[lane] = count - 1 }
    }
  }

  /// Notes that `lane` takes no more buffers. Those that it has still come back.
  func close(_ lane: Int) { state.withLock { $0.held[lane] = nil } }

  /// Lets nobody wait any more.
  func stop() { state.withLock { $0.isStopped = true } }

  /// The most buffers that were out at once: in all, and of each lane.
  var peaks: (inAll: Int, lanes: [Int]) { state.withLock { ($0.peak, $0.lanePeaks) } }

  /// Where buffer `index` begins in the memory.
  func start(of index: Int) -> Int { index * bufferBytes }

  /// The memory of buffer `index`, valid as long as the pool is; only for whoever has the buffer.
  @unsafe
  func bytes(of index: Int) -> UnsafeMutableRawBufferPointer {
    let start = start(of: index)
    return unsafe UnsafeMutableRawBufferPointer(
      rebasing: memory.mutableBytes[start..<(start + bufferBytes)])
  }
}

extension BufferPool: CopyingTarget {
  /// Puts bytes into the pool's memory.
  func copy(from source: UnsafeRawBufferPointer, to offset: UInt64) throws(SystemCallError) {
    let start = Int(offset)
    // SAFETY: slicing checks that the part lies inside; the buffer belongs to the request that fills it.
    let part = unsafe memory.mutableBytes[start..<(start + source.count)]
    unsafe UnsafeMutableRawBufferPointer(rebasing: part).copyMemory(from: source)
  }
}
