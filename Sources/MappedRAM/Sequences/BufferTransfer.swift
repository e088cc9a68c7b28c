import LinuxIO
import Synchronization

/// A buffer on its way to or from a file: made once for each buffer of a pool, and used again and again.
///
/// A buffer that is longer than an extent travels in several.
final class BufferTransfer: Transfer, @unchecked Sendable {
  // @unchecked Sendable: what changes does so before the transfer is queued, under whose lock the channels then get it, and not again
  // before `onFinished`.

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

  /// The transfer of buffer `index` of `pool` to or from `file`, by a pool of channels whose extents have `extentBytes`.
  init(
    _ index: Int, of pool: BufferPool, _ direction: Direction, _ file: File, extentBytes: Int,
    onFinished: @escaping @Sendable (_ lane: Int) -> Void
  ) {
    self.direction = direction
    switch direction {
    case .toFile: (source, target) = (.memory(pool.memory), .file(file))
    case .fromFile: (source, target) = (.file(file), .copy(pool))
    }
    start = UInt64(pool.start(of: index))
    self.extentBytes = extentBytes
    self.onFinished = onFinished
  }

  /// Says what is to be moved next: the buffer's first `byteCount` bytes, which belong at `offset` of the file.
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
