/// Finds zero pages at the speed of memory.
package enum ZeroScan {
  /// Whether all bytes of `page` are zero.
  ///
  /// - Precondition: it has a multiple of 256 bytes, as pages have.
  /// - Complexity: O(bytes); a page that is not zero is mostly left after its first 256.
  package static func isZero(_ page: UnsafeRawBufferPointer) -> Bool {
    precondition(page.count % 256 == 0, "a page is a multiple of 256 bytes")
    guard let bytes = page.baseAddress else { return true }
    // `SIMD8<UInt64>` becomes vector instructions; `SIMD64<UInt8>` would become a scalar loop (Swift 6.3).
    var offset = 0
    while offset < page.count {
      // SAFETY: the buffer has a multiple of the 256 bytes that are loaded here.
      let a = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: SIMD8<UInt64>.self)
      let b = unsafe bytes.loadUnaligned(fromByteOffset: offset &+ 64, as: SIMD8<UInt64>.self)
      let c = unsafe bytes.loadUnaligned(fromByteOffset: offset &+ 128, as: SIMD8<UInt64>.self)
      let d = unsafe bytes.loadUnaligned(fromByteOffset: offset &+ 192, as: SIMD8<UInt64>.self)
      let all = (a | b) | (c | d)
      let half = all.lowHalf | all.highHalf
      let quarter = half.lowHalf | half.highHalf
      if quarter[0] | quarter[1] != 0 { return false }
      offset &+= 256
    }
    return true
  }

  /// Appends to `runs` the runs of pages of `run` that `isWritten` chooses.
  ///
  /// Each page is looked at once, in order; `isWritten` is given its number in the extent and whether it is zero.
  static func appendRuns(
    of run: Run, pageBytes: Int, in bytes: UnsafeMutableRawBufferPointer, to runs: inout [Run],
    isWritten: (_ page: Int, _ isZero: Bool) -> Bool
  ) {
    var runStart = run.lowerBound
    for start in stride(from: run.lowerBound, to: run.upperBound, by: pageBytes) {
      let page = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<(start + pageBytes)])
      if unsafe isWritten(start / pageBytes, isZero(page)) { continue }
      if runStart < start { runs.append(runStart..<start) }
      runStart = start + pageBytes
    }
    if runStart < run.upperBound { runs.append(runStart..<run.upperBound) }
  }
}
