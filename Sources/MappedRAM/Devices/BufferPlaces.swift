import LinuxIO
import MappedRAMFormat

/// Where in the file the buffers of one device go.
enum BufferPlaces {
  /// Wherever there is room, each aligned.
  case aligned(AlignedPlaces)
  /// At places that were chosen before, in their order, which count from `start`: those of an image
  /// that is built again.
  case fixed([UInt64], from: FileOffset)
  /// One right behind the other: buffers whose bytes are to stand as one. They come in order.
  case adjoining(from: FileOffset)

  /// The place of the next buffer, `number` counting those that have a place, which has `byteCount`
  /// bytes; nobody else gets it.
  ///
  /// - Precondition: not more buffers come than there are fixed places.
  mutating func next(_ number: Int, byteCount: Int) throws(ImageError) -> FileOffset {
    switch self {
    case .aligned(let places):
      return try places.next(byteCount: byteCount)
    case .fixed(let places, let start):
      precondition(number < places.count, "a place for each buffer")
      return start + ByteCount(places[number])
    case .adjoining(let place):
      self = .adjoining(from: place + ByteCount(byteCount))
      return place
    }
  }
}

/// Places one behind the other from a first one on, each aligned; any number of threads may ask.
///
/// The file is made longer in large steps, ahead of the writes: writes past the end of a file hold
/// one another up. Who uses it cuts the file in the end.
final class AlignedPlaces: Sendable {
  private let file: File
  private let state: Monitor<(next: UInt64, fileEnd: UInt64)>

  /// How much longer the file is made at once: sparse, so that it costs nothing.
  static let stepBytes: UInt64 = 1 << 30

  /// Places in `file` from `start` on; the file has `fileEnd` bytes now, or as a device for good.
  init(in file: File, from start: UInt64, fileEnd: UInt64) {
    self.file = file
    state = Monitor((Self.align(start), fileEnd))
  }

  /// A place for `byteCount` bytes that nobody else gets.
  func next(byteCount: Int) throws(ImageError) -> FileOffset {
    try state.withLock(wakesWaiters: false) { [file] (state) throws(ImageError) in
      let place = state.next
      let end = Self.align(place + UInt64(byteCount))
      try Self.makeRoom(in: file, to: end, &state.fileEnd)
      state.next = end
      return FileOffset(place)
    }
  }

  /// Makes the file long enough for all that is before the next place.
  func makeRoom() throws(ImageError) {
    try state.withLock(wakesWaiters: false) { [file] (state) throws(ImageError) in
      try Self.makeRoom(in: file, to: state.next, &state.fileEnd)
    }
  }

  private static func makeRoom(
    in file: File, to end: UInt64, _ fileEnd: inout UInt64
  ) throws(ImageError) {
    guard end > fileEnd else { return }
    guard file.kind == .regular else {
      throw .target(.tooSmall(file.path, found: fileEnd, needed: end))
    }
    fileEnd = end + stepBytes
    let size = fileEnd
    try calling { () throws(SystemCallError) in try file.truncate(to: size) }
  }

  /// The first byte behind all places.
  var end: FileOffset { FileOffset(state.withLock(wakesWaiters: false) { $0.next }) }

  private static func align(_ offset: UInt64) -> UInt64 {
    (offset + DeviceArea.alignment - 1) & ~(DeviceArea.alignment - 1)
  }
}

/// What is wrong with the numbers of a sequence's buffers, which must count from 0, each once.
public enum SequenceProblem: Error, Equatable, Sendable {
  /// A number came twice.
  case numberTwice(UInt32)
  /// A number is beyond what a sequence may have.
  case numberOutOfRange(UInt32, limit: Int)
  /// A number did not come, though a later one did.
  case numberMissing(UInt32)
}

/// The buffers of a sequence, by number. They may come in any order.
struct NumberedBuffers: Sendable {
  private var buffers: [StoredBuffer?] = []

  /// The lowest number that is above all that came.
  var nextNumber: UInt32 { UInt32(buffers.count) }

  /// Notes a buffer.
  ///
  /// - Complexity: O(1) where numbers come nearly in order.
  mutating func insert(_ buffer: StoredBuffer, number: UInt32) throws(SequenceProblem) {
    guard number < ImageLimits.deviceBuffers else {
      throw .numberOutOfRange(number, limit: ImageLimits.deviceBuffers)
    }
    let index = Int(number)
    while buffers.count <= index { buffers.append(nil) }
    guard buffers[index] == nil else { throw .numberTwice(number) }
    buffers[index] = buffer
  }

  /// All buffers in order, once all have come.
  func complete() throws(SequenceProblem) -> [StoredBuffer] {
    var all: [StoredBuffer] = []
    all.reserveCapacity(buffers.count)
    for (number, buffer) in buffers.enumerated() {
      guard let buffer else { throw .numberMissing(UInt32(number)) }
      all.append(buffer)
    }
    return all
  }
}
