import LinuxIO
import MappedRAMFormat

/// Places that were chosen before, given out in their order: those of an image that is built again.
final class FixedPlaces: PlaceAllocator {
  private let start: UInt64
  private let places: [UInt64]
  private let next = Monitor(0)

  /// Places that count from `start`.
  init(_ places: [UInt64], from start: UInt64) {
    self.places = places
    self.start = start
  }

  /// - Precondition: not more buffers come than there are places.
  func place(for byteCount: Int) throws(ImageError) -> UInt64 {
    let index = next.withLock(wakesWaiters: false) { next in
      next += 1
      return next - 1
    }
    precondition(index < places.count, "a place for each buffer")
    return start + places[index]
  }
}

/// Places that adjoin, from a first one on: of buffers whose bytes are to stand as one.
final class AdjoiningPlaces: PlaceAllocator {
  private let next: Monitor<UInt64>

  /// Places from `start` on.
  init(from start: FileOffset) { next = Monitor(start.rawValue) }

  func place(for byteCount: Int) throws(ImageError) -> UInt64 {
    next.withLock(wakesWaiters: false) { next in
      defer { next += UInt64(byteCount) }
      return next
    }
  }
}
