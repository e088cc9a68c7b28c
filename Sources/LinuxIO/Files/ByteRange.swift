/// A range of bytes of a file or of memory.
extension Range<UInt64> {
  /// The number of bytes in the range. `count` is an Int and traps above Int.max.
  var byteCount: UInt64 { upperBound - lowerBound }
}
