import LinuxIO

/// Bytes that go from one place to another, extent by extent: all that a channel knows of its work.
///
/// What the bytes mean, and which of them matter, is known to the types that conform, above the
/// channels. Extents are handled in any order, several at the same time by different channels,
/// each once:
///
///     extent(i)           where it lies at either end
///     chooseReads(of:)    what to read of it; the channel reads that into a buffer
///     chooseWrites(of:)   looks at what was read and says what to write; the channel writes that
///     finished(_:)        all of it is written
protocol Transfer: AnyObject, Sendable {
  /// Where the bytes come from.
  var source: SourceAccess { get }
  /// Where they go.
  var target: TargetAccess { get }
  /// What holds its writes up, if anything does.
  var limit: BandwidthLimit? { get }
  /// How many extents there are.
  var extentCount: Int { get }

  /// Extent number `index`.
  func extent(_ index: Int) -> Extent

  /// Appends to `runs` what must be read of `extent`: ascending and disjoint. The rest of the
  /// buffer stays undefined.
  func chooseReads(of extent: Extent, into runs: inout [Run]) throws(SystemCallError)

  /// Appends to `runs` what must be written of `extent`: ascending and disjoint.
  ///
  /// Called once the runs chosen before, `read`, are in `bytes`, which holds the whole extent and,
  /// unless the source is memory, may be changed.
  func chooseWrites(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  )

  /// Called once all that was chosen of `extent` has been written, by the channel that has written
  /// it; not for extents that an error or a stop leaves undone.
  func finished(_ extent: Extent)
}

extension Transfer {
  /// Nothing.
  var limit: BandwidthLimit? { nil }

  /// Nothing: most transfers are waited for as a whole.
  func finished(_ extent: Extent) {}
}

/// A stretch of bytes that travels as one unit of work, and its place at either end.
struct Extent: Equatable, Sendable {
  /// Where it begins in the source.
  var sourceOffset: UInt64
  /// Where it begins in the target.
  var targetOffset: UInt64
  /// Bytes; at most what the pool's channels have buffers for.
  var byteCount: Int
}

/// Neighbouring bytes of an extent that are treated alike, counted from the extent's first.
typealias Run = Range<Int>

extension [Run] {
  /// Joins runs from number `first` on that have at most `gapBytes` between them, for one request
  /// in place of two, where `isAllowed` says so of a gap and of the bytes chosen just before it.
  ///
  /// - Complexity: O(runs); nothing is allocated.
  mutating func join(
    from first: Int, gapBytes: Int, where isAllowed: (_ gap: Run, _ before: Int) -> Bool
  ) {
    guard gapBytes > 0, count > first + 1 else { return }
    var last = first
    var before = self[first].count
    for index in (first + 1)..<count {
      let run = self[index]
      let gap = self[last].upperBound..<run.lowerBound
      if gap.count <= gapBytes, isAllowed(gap, before) {
        self[last] = self[last].lowerBound..<run.upperBound
      } else {
        last += 1
        self[last] = run
      }
      before = run.count
    }
    removeSubrange((last + 1)...)
  }
}
