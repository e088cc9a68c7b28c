import LinuxIO
import MappedRAMFormat

/// Numbered buffers of several lanes on their way into a file, through the channels.
///
/// A lane takes a free buffer, fills it and puts it; it gets its place, a channel writes it, and it is free again. Where there is
/// none, the lane waits: that is what holds back a lane that is faster than the file.
final class SequenceWriter: Sendable {
  /// The memory.
  let pool: BufferPool
  private let places: [any PlaceAllocator]
  private let transfers: [BufferTransfer]
  private let inlet: WorkInlet

  /// A writer into `file` for as many lanes as there are `places`, by the channels behind `inlet`, whose extents have `extentBytes`.
  init(
    places: [any PlaceAllocator], pool: BufferPool, to file: File, inlet: WorkInlet,
    extentBytes: Int
  ) {
    self.places = places
    self.pool = pool
    self.inlet = inlet
    transfers = (0..<pool.count).map { index in
      BufferTransfer(index, of: pool, .toFile, file, extentBytes: extentBytes) { lane in
        pool.give(index, from: lane)
      }
    }
  }

  /// A free buffer; waits for one. `nil` where all is to stop.
  func take(for lane: Int) -> Int? { pool.take(for: lane) }

  /// Takes back a buffer that was not filled.
  func give(_ index: Int, from lane: Int) { pool.give(index, from: lane) }

  /// Gives the first `byteCount` bytes of a buffer a place and queues them; the buffer is no longer the lane's.
  func put(_ index: Int, byteCount: Int, from lane: Int) throws(ImageError) -> FileOffset {
    let place = try places[lane].place(for: byteCount)
    if byteCount > 0 {
      transfers[index].prepare(byteCount: byteCount, at: place, lane: lane)
      inlet.enqueue(transfers[index])
    } else {
      pool.give(index, from: lane)
    }
    return FileOffset(place)
  }

  /// Stops all work.
  func fail(_ error: ImageError) { inlet.fail(error) }

  /// Lets nobody wait any more.
  func stop() { pool.stop() }
}
