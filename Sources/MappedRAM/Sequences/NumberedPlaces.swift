import MappedRAMFormat

/// What is wrong with the numbers of a sequence's buffers, which must count from 0, each once.
public enum SequenceProblem: Error, Equatable, Sendable {
  /// A number came twice.
  case numberTwice(UInt32)
  /// A number is beyond what a sequence may have.
  case numberOutOfRange(UInt32, limit: Int)
  /// A number did not come, though a later one did.
  case numberMissing(UInt32)
}

/// The places of a sequence's buffers, by number. They may come in any order.
struct NumberedPlaces: Sendable {
  private var places: [StoredBuffer?] = []
  private var count = 0

  /// The lowest number that is above all that came.
  var nextNumber: UInt32 { UInt32(places.count) }

  /// Notes the place of a buffer.
  ///
  /// - Complexity: O(1) where numbers come nearly in order.
  mutating func insert(_ place: StoredBuffer, number: UInt32) throws(SequenceProblem) {
    guard number < ImageLimits.deviceBuffers else {
      throw .numberOutOfRange(number, limit: ImageLimits.deviceBuffers)
    }
    let index = Int(number)
    while places.count <= index { places.append(nil) }
    guard places[index] == nil else { throw .numberTwice(number) }
    places[index] = place
    count += 1
  }

  /// All places in order, once all have come.
  func complete() throws(SequenceProblem) -> [StoredBuffer] {
    var all: [StoredBuffer] = []
    all.reserveCapacity(places.count)
    for (number, place) in places.enumerated() {
      guard let place else { throw .numberMissing(UInt32(number)) }
      all.append(place)
    }
    return all
  }
}
