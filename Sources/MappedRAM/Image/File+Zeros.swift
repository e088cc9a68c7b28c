import LinuxIO

extension File {
  /// Writes zeros over `range`, through the page cache.
  func writeZeros(
    over range: Range<UInt64>, _ cancellation: Cancellation
  ) throws(ImageError) {
    for piece in ZeroPieces(of: range) {
      try cancellation.check()
      try calling { () throws(SystemCallError) in try write(piece.zeros, at: piece.offset) }
    }
  }
}
