import CXXHash
import LinuxIO
package import MappedRAMFormat

extension ContentSum {
  /// The sum of `bytes`, at the speed of memory.
  ///
  /// - Complexity: O(bytes).
  init(of bytes: UnsafeRawBufferPointer) {
    // SAFETY: the bytes are the buffer's own, and are not kept.
    let hash = unsafe CXXHash_hash(bytes.baseAddress, bytes.count)
    self.init(high: hash.high64, low: hash.low64)
  }

  /// The sum of `bytes`.
  package init(of bytes: [UInt8]) {
    // SAFETY: the bytes are there for the call, and are not kept.
    self = unsafe bytes.withUnsafeBytes { unsafe ContentSum(of: $0) }
  }
}

/// Takes the sum of bytes that come one after the other: the same as that of all of them at once.
@safe
struct ContentHasher: ~Copyable {
  private let state: OpaquePointer

  /// The sum of no bytes so far.
  init() {
    guard let state = unsafe XXH3_createState() else { preconditionFailure("no memory") }
    unsafe self.state = state
    _ = unsafe XXH3_128bits_reset(state)
  }

  deinit { _ = unsafe XXH3_freeState(state) }

  /// Takes in more bytes.
  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    // SAFETY: the bytes are there for the call, and are not kept; the state is this value's alone.
    _ = unsafe XXH3_128bits_update(state, bytes.baseAddress, bytes.count)
  }

  /// Takes in more bytes.
  mutating func add(_ bytes: [UInt8]) {
    // SAFETY: as above.
    unsafe bytes.withUnsafeBytes { unsafe add($0) }
  }

  /// Takes in the bytes of `output`.
  mutating func add(_ encode: (inout ByteOutput) -> Void) {
    var output = ByteOutput()
    encode(&output)
    add(output.bytes)
  }

  /// The sum so far.
  var sum: ContentSum {
    let hash = unsafe XXH3_128bits_digest(state)
    return ContentSum(high: hash.high64, low: hash.low64)
  }
}

extension ImageFile {
  /// The sum of the bytes in `range`, 1 MiB at a time.
  ///
  /// - Parameter overlay: bytes that are taken for those of the file at their place, which lie in the range or outside of it.
  /// - Throws: `endedEarly` where the file has fewer.
  func sum(
    of range: Range<FileOffset>, overlay: ByteOutput? = nil
  ) throws(ImageError) -> ContentSum {
    var hasher = ContentHasher()
    var position = range.lowerBound
    while position < range.upperBound {
      try cancellation.check()
      let count = Int(min(UInt64(Self.chunkBytes), (range.upperBound - position).rawValue))
      var bytes = try read(count, at: position)
      for (place, byte) in zip((overlay?.base.rawValue ?? 0)..., overlay?.bytes ?? [])
      where place >= position.rawValue && place - position.rawValue < UInt64(count) {
        bytes[Int(place - position.rawValue)] = byte
      }
      hasher.add(bytes)
      position = position + ByteCount(count)
    }
    return hasher.sum
  }
}
