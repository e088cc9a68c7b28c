import LinuxIO

/// Gives out places in a file for buffers.
protocol PlaceAllocator: Sendable {
  /// A place for `byteCount` bytes that nobody else gets.
  func place(for byteCount: Int) throws(ImageError) -> UInt64
}

/// Places one behind the other from a first one on, each aligned; any number of threads may ask.
///
/// The file is made longer in large steps, ahead of the writes: writes past the end of a file hold one another up. Who uses it cuts
/// the file in the end.
final class AlignedPlaces: PlaceAllocator {
  private let file: File
  private let alignment: UInt64
  private let state: Monitor<(next: UInt64, fileEnd: UInt64)>

  /// How much longer the file is made at once: sparse, so that it costs nothing.
  static let stepBytes: UInt64 = 1 << 30

  /// Places in `file` from `start` on; the file has `fileEnd` bytes now, or as a device for good.
  init(in file: File, from start: UInt64, fileEnd: UInt64, alignment: UInt64) {
    self.file = file
    self.alignment = alignment
    state = Monitor((Self.align(start, alignment), fileEnd))
  }

  func place(for byteCount: Int) throws(ImageError) -> UInt64 {
    let (file, alignment) = (file, alignment)
    return try state.withLock(wakesWaiters: false) { (state) throws(ImageError) in
      let place = state.next
      let end = Self.align(place + UInt64(byteCount), alignment)
      try Self.makeRoom(in: file, to: end, &state.fileEnd)
      state.next = end
      return place
    }
  }

  /// Makes the file long enough to end at `end`.
  func makeRoom(to end: UInt64) throws(ImageError) {
    let file = file
    try state.withLock(wakesWaiters: false) { (state) throws(ImageError) in
      try Self.makeRoom(in: file, to: end, &state.fileEnd)
    }
  }

  private static func makeRoom(
    in file: File, to end: UInt64, _ fileEnd: inout UInt64
  ) throws(ImageError) {
    guard end > fileEnd else { return }
    guard file.kind == .regular else {
      throw .plan(.targetTooSmall(file.path, found: fileEnd, needed: end))
    }
    fileEnd = end + stepBytes
    let size = fileEnd
    try calling { () throws(SystemCallError) in try file.truncate(to: size) }
  }

  /// The first byte behind all places.
  var end: UInt64 { state.withLock(wakesWaiters: false) { $0.next } }

  private static func align(_ offset: UInt64, _ alignment: UInt64) -> UInt64 {
    (offset + alignment - 1) & ~(alignment - 1)
  }
}
