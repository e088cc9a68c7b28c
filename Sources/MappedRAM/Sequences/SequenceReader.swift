import LinuxIO
import MappedRAMFormat

/// Numbered buffers of several lanes on their way out of a file, through the channels, which read ahead of the lanes.
final class SequenceReader: Sendable {
  /// The memory.
  let pool: BufferPool
  private let transfers: [BufferTransfer]
  private let inlet: WorkInlet
  private let arrivals: Monitor<Arrivals>

  private struct Arrivals {
    var isFull: [Bool]
    var isStopped = false
  }

  /// A reader from `file`, by the channels behind `inlet`, whose extents have `extentBytes`.
  init(pool: BufferPool, from file: File, inlet: WorkInlet, extentBytes: Int) {
    let arrivals = Monitor(Arrivals(isFull: Array(repeating: false, count: pool.count)))
    self.pool = pool
    self.inlet = inlet
    self.arrivals = arrivals
    transfers = (0..<pool.count).map { index in
      BufferTransfer(index, of: pool, .fromFile, file, extentBytes: extentBytes) { _ in
        arrivals.withLock { $0.isFull[index] = true }
      }
    }
  }

  /// Lets nobody wait any more.
  func stop() {
    pool.stop()
    arrivals.withLock { $0.isStopped = true }
  }

  fileprivate func request(_ buffer: StoredBuffer, into index: Int, lane: Int) {
    let byteCount = Int(buffer.byteCount.rawValue)
    arrivals.withLock(wakesWaiters: false) { $0.isFull[index] = byteCount == 0 }
    guard byteCount > 0 else { return }
    transfers[index].prepare(byteCount: byteCount, at: buffer.offset.rawValue, lane: lane)
    inlet.enqueue(transfers[index])
  }

  /// Waits until a buffer is full. Whether it is; false where all is to stop.
  fileprivate func wait(for index: Int) -> Bool {
    arrivals.wait { arrivals -> Bool? in
      if arrivals.isStopped { return false }
      return arrivals.isFull[index] ? true : nil
    }
  }

  /// One lane: hands out the buffers of a sequence strictly in order, while the next ones are being read. For one thread.
  struct Lane {
    private let reader: SequenceReader
    private let lane: Int
    private let buffers: [StoredBuffer]
    /// Where buffers went that have been asked for and not handed out, the next one first.
    private var ahead: [Int] = []
    private var requested = 0

    /// The lane number `lane` of `reader`, with these buffers.
    init(_ reader: SequenceReader, lane: Int, buffers: [StoredBuffer]) {
      self.reader = reader
      self.lane = lane
      self.buffers = buffers
      ahead.reserveCapacity(reader.pool.count)
    }

    /// The next buffer, full; the caller gives it back to the pool. `nil` where all is to stop.
    ///
    /// - Precondition: not all have been handed out.
    mutating func next() -> Int? {
      while requested < buffers.count, let index = reader.pool.takeIfFree(for: lane) {
        request(into: index)
      }
      if ahead.isEmpty {
        precondition(requested < buffers.count, "a buffer is left")
        guard let index = reader.pool.take(for: lane) else { return nil }
        request(into: index)
      }
      let index = ahead.removeFirst()
      return reader.wait(for: index) ? index : nil
    }

    private mutating func request(into index: Int) {
      reader.request(buffers[requested], into: index, lane: lane)
      ahead.append(index)
      requested += 1
    }
  }
}
