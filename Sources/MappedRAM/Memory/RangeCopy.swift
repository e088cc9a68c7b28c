import LinuxIO

/// Copies a part of a file into another, through the page cache: for what is small or not aligned. Holes stay holes,
/// but on a device, which has other bytes there: zeros are written to it.
struct RangeCopy {
  private let source: File
  private let range: Range<UInt64>
  private let target: File
  private let offset: UInt64

  /// Bytes in memory at once.
  static let chunkBytes = 1 << 20

  /// A copy of `range` of `source` to `offset` of `target`, which is long enough and, unless it is a device, has zeros
  /// there.
  init(from source: File, _ range: Range<UInt64>, to target: File, at offset: UInt64) {
    self.source = source
    self.range = range
    self.target = target
    self.offset = offset
  }

  /// Copies.
  ///
  /// - Throws: `endedEarly` if the source has less than was asked for.
  func run(_ cancellation: Cancellation) throws(ImageError) {
    let size = try calling { () throws(SystemCallError) in try source.size() }
    guard range.upperBound <= size else { throw .endedEarly(source.path, at: size) }
    var position = range.lowerBound
    while position < range.upperBound {
      try cancellation.check()
      let rest = position..<range.upperBound
      let data = try calling { () throws(SystemCallError) in
        target.kind == .blockDevice ? rest : try source.nextData(in: rest)
      }
      guard let data else { return }
      let count = Int(min(UInt64(Self.chunkBytes), data.upperBound - data.lowerBound))
      try copy(data.lowerBound, count)
      position = data.lowerBound + UInt64(count)
    }
  }

  private func copy(_ position: UInt64, _ count: Int) throws(ImageError) {
    let bytes = try calling { () throws(SystemCallError) in
      try source.readBytes(at: position, count: count)
    }
    guard bytes.count == count else {
      throw .endedEarly(source.path, at: position + UInt64(bytes.count))
    }
    try calling { () throws(SystemCallError) in
      try target.write(bytes, at: offset + (position - range.lowerBound))
    }
  }
}
