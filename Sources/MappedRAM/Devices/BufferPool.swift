import LinuxIO
import MappedRAMFormat
import Synchronization

/// The buffers between the tasks of devices and a file: so many and no more, for each lane and in
/// all.
///
/// A lane is a device's share of the pool. Each always gets a first buffer, however many the others
/// hold, so that none waits for another that is slow.
@safe
final class BufferPool: Sendable {
  /// Bytes in a buffer.
  let bufferBytes: Int
  /// The way to the channels, which move the buffers.
  let inlet: WorkInlet
  /// The memory of all buffers, one behind the other.
  private let memory: Mapping
  /// The way of each buffer to or from the file.
  private let transfers: [BufferTransfer]
  private let direction: BufferTransfer.Direction
  private let perLane: Int
  private let state: Monitor<State>

  private struct State {
    /// Buffers that nobody has.
    var free: [Int]
    /// Buffers that a lane has; `nil` once it has ended.
    var held: [Int?]
    /// Whether what was to be read into a buffer is in it.
    var isFull: [Bool]
    var isStopped = false
    /// The most buffers that each lane had at once.
    var peaks: [Int]

    /// Open lanes that have no buffer: one is kept for each.
    var keptBack: Int { held.reduce(0) { $0 + ($1 == 0 ? 1 : 0) } }

    mutating func take(for lane: Int, perLane: Int) -> Int? {
      guard !isStopped, let count = held[lane], count < perLane,
        count == 0 || free.count > keptBack, let index = free.popLast()
      else { return nil }
      held[lane] = count + 1
      peaks[lane] = max(peaks[lane], count + 1)
      return index
    }

    mutating func give(_ index: Int, from lane: Int) {
      free.append(index)
      if let count = held[lane] { held[lane] = count - 1 }
    }

    /// Notes that a buffer has been moved: one that was written is free again.
    mutating func arrive(_ index: Int, _ direction: BufferTransfer.Direction, for lane: Int) {
      switch direction {
      case .toFile: give(index, from: lane)
      case .fromFile: isFull[index] = true
      }
    }
  }

  /// A pool for `lanes` lanes with buffers of up to `longest` bytes: as many of them as have the
  /// bytes that `limits` allow, and no more of shorter ones. Memory comes as buffers are used.
  ///
  /// - Parameters:
  ///   - direction: where they go, by the channels behind `inlet`, whose extents have
  ///     `extentBytes`.
  init(
    lanes: Int, longest: Int, limits: DeviceLimits, _ direction: BufferTransfer.Direction,
    _ file: File, inlet: WorkInlet, extentBytes: Int
  ) throws(SystemCallError) {
    let alignment = Int(DeviceArea.alignment)
    let bytes = max(alignment, (longest + alignment - 1) / alignment * alignment)
    let weight = max(1, (bytes + limits.bufferBytes - 1) / limits.bufferBytes)
    let perLane = max(1, limits.buffersPerDevice / weight)
    // More than the lanes may have could never be out at once.
    let count = min(max(limits.buffers / weight, lanes), lanes * perLane)
    let memory = try Mapping(anonymousByteCount: max(1, count) * bytes)
    let state = Monitor(
      State(
        free: Array((0..<count).reversed()), held: Array(repeating: 0, count: lanes),
        isFull: Array(repeating: false, count: count), peaks: Array(repeating: 0, count: lanes)))
    bufferBytes = bytes
    self.direction = direction
    self.perLane = perLane
    self.inlet = inlet
    self.memory = memory
    self.state = state
    transfers = (0..<count).map { index in
      BufferTransfer(
        memory, at: index * bytes, direction, file, extentBytes: extentBytes
      ) { lane in
        state.withLock { $0.arrive(index, direction, for: lane) }
      }
    }
  }

  /// A buffer for `lane`; waits until there is one. `nil` once the pool is stopped.
  func take(for lane: Int) -> Int? {
    state.wait { [perLane] state -> Int?? in
      if state.isStopped { return .some(nil) }
      return state.take(for: lane, perLane: perLane).map { .some($0) }
    }
  }

  /// A buffer for `lane`, if it may have one at once.
  func takeIfFree(for lane: Int) -> Int? {
    state.withLock(wakesWaiters: false) { [perLane] in $0.take(for: lane, perLane: perLane) }
  }

  /// Takes a buffer back.
  func give(_ index: Int, from lane: Int) { state.withLock { $0.give(index, from: lane) } }

  /// Queues the first `byteCount` bytes of a buffer to be moved to or from `offset` of the file. A
  /// buffer on its way to the file is no longer the lane's: it comes back by itself.
  func move(_ index: Int, byteCount: Int, at offset: FileOffset, for lane: Int) {
    guard byteCount > 0 else {
      return state.withLock { [direction] in $0.arrive(index, direction, for: lane) }
    }
    state.withLock(wakesWaiters: false) { $0.isFull[index] = false }
    transfers[index].prepare(byteCount: byteCount, at: offset.rawValue, lane: lane)
    inlet.enqueue(transfers[index])
  }

  /// Waits until a buffer that is on its way from the file is full. False once the pool is stopped.
  func waitUntilFull(_ index: Int) -> Bool {
    state.wait { $0.isStopped ? false : $0.isFull[index] ? true : nil }
  }

  /// Notes that `lane` takes no more buffers. Those that it has still come back.
  func close(_ lane: Int) { state.withLock { $0.held[lane] = nil } }

  /// Lets nobody wait any more.
  func stop() { state.withLock { $0.isStopped = true } }

  /// The most buffers that each lane had at once.
  var peaks: [Int] { state.withLock { $0.peaks } }

  /// The memory of buffer `index`, valid as long as the pool is; only for whoever has the buffer.
  @unsafe
  func bytes(of index: Int) -> UnsafeMutableRawBufferPointer {
    let start = index * bufferBytes
    return unsafe UnsafeMutableRawBufferPointer(
      rebasing: memory.mutableBytes[start..<(start + bufferBytes)])
  }
}

/// A buffer on its way to or from a file: made once for each buffer of a pool, and used again and
/// again.
///
/// A buffer that is longer than an extent travels in several.
final class BufferTransfer: Transfer, @unchecked Sendable {
  // @unchecked Sendable: what changes does so before the transfer is queued, under whose lock the
  // channels then get it, and not again before `onFinished`.

  let source: SourceAccess
  let target: TargetAccess
  private let direction: Direction
  private let start: UInt64
  private let extentBytes: Int
  private let onFinished: @Sendable (_ lane: Int) -> Void
  private var lane = 0
  private var byteCount = 0
  private var offset: UInt64 = 0
  private let extentsLeft = Atomic<Int>(0)

  enum Direction { case toFile, fromFile }

  /// The transfer of the buffer at `start` of `memory` to or from `file`, by channels whose extents
  /// have `extentBytes`.
  init(
    _ memory: Mapping, at start: Int, _ direction: Direction, _ file: File, extentBytes: Int,
    onFinished: @escaping @Sendable (_ lane: Int) -> Void
  ) {
    self.direction = direction
    switch direction {
    case .toFile: (source, target) = (.mapping(memory), .file(file))
    case .fromFile: (source, target) = (.file(file), .copy(BufferMemory(memory: memory)))
    }
    self.start = UInt64(start)
    self.extentBytes = extentBytes
    self.onFinished = onFinished
  }

  /// Says what is to be moved next: the buffer's first `byteCount` bytes, which belong at `offset`
  /// of the file.
  ///
  /// - Precondition: the transfer is not queued, and there is at least a byte.
  func prepare(byteCount: Int, at offset: UInt64, lane: Int) {
    precondition(byteCount > 0, "something to move")
    self.byteCount = byteCount
    self.offset = offset
    self.lane = lane
    extentsLeft.store(extentCount, ordering: .relaxed)
  }

  var extentCount: Int { (byteCount + extentBytes - 1) / extentBytes }

  func extent(_ index: Int) -> Extent {
    let first = index * extentBytes
    let inMemory = start + UInt64(first)
    let inFile = offset + UInt64(first)
    let count = min(extentBytes, byteCount - first)
    return switch direction {
    case .toFile: Extent(sourceOffset: inMemory, targetOffset: inFile, byteCount: count)
    case .fromFile: Extent(sourceOffset: inFile, targetOffset: inMemory, byteCount: count)
    }
  }

  func chooseReads(of extent: Extent, into runs: inout [Run]) throws(SystemCallError) {
    runs.append(0..<extent.byteCount)
  }

  func chooseWrites(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  ) {
    runs.append(0..<extent.byteCount)
  }

  func finished(_ extent: Extent) {
    let lane = lane
    let left = extentsLeft.subtract(1, ordering: .acquiringAndReleasing).newValue
    if left == 0 { onFinished(lane) }
  }
}

/// The memory of a pool, which channels copy into.
private struct BufferMemory: CopyingTarget {
  let memory: Mapping

  func copy(from source: UnsafeRawBufferPointer, to offset: UInt64) throws(SystemCallError) {
    let start = Int(offset)
    // SAFETY: slicing checks that the part lies inside; the buffer belongs to the request that
    // fills it.
    let part = unsafe memory.mutableBytes[start..<(start + source.count)]
    unsafe UnsafeMutableRawBufferPointer(rebasing: part).copyMemory(from: source)
  }
}
