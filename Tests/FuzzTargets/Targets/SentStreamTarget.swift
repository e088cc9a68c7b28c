import MappedRAM
import MappedRAMFormat

/// The stream of a background snapshot, whose bytes may come in any parts: in one or in many, its pages are the same, and so is its end.
enum SentStreamTarget {
  static func run(_ bytes: [UInt8]) throws(Finding) -> Bool {
    let whole = try Reading(bytes, step: max(bytes.count, 1))
    for step in [1, 13, 4096] {
      let parts = try Reading(bytes, step: step)
      try require(parts == whole, "in parts of \(step) bytes: \(parts.end), but \(whole.end)")
    }
    return whole.end == .complete
  }

  /// What is made of a stream.
  private struct Reading: Equatable {
    /// Pages, with a sum of their bytes; `nil` for zeros.
    var pages: [Page] = []
    var end = End.cut

    struct Page: Equatable {
      var block: Int
      var page: Int
      var sum: UInt64?
    }

    enum End: Equatable {
      /// More is to come.
      case cut
      case complete
      /// It is no such stream.
      case refused(FormatError)
    }

    /// Reads `bytes`, of which `step` more are there each time.
    init(_ bytes: [UInt8], step: Int) throws(Finding) {
      var parser = SentStreamParser(MadeSentStream.blocks)
      var (taken, there, found) = (0, 0, [Page]())
      do throws(FormatError) {
        while there < bytes.count {
          there = min(there + step, bytes.count)
          let rest = unsafe bytes.span.bytes.extracting(taken..<there)
          // SAFETY: the bytes are not kept.
          let count = try unsafe rest.withUnsafeBytes { (rest) throws(FormatError) in
            try unsafe parser.take(rest) { place, page in
              let sum = unsafe page.map { unsafe $0.reduce(5381) { $0 &* 33 &+ UInt64($1) } }
              found.append(Page(block: place.block, page: place.page, sum: sum))
            }
          }
          taken += count
        }
        if parser.isComplete { end = .complete }
      } catch {
        _ = error.description
        end = .refused(error)
      }
      pages = found
      try check(taken, of: bytes, parser)
    }

    private func check(
      _ taken: Int, of bytes: [UInt8], _ parser: SentStreamParser
    ) throws(Finding) {
      try require(taken <= bytes.count, "more was taken than is there")
      for page in pages {
        let block = MadeSentStream.blocks[page.block]
        try require(page.page < block.pageCount, "a page outside of its block")
      }
      guard end == .complete else { return }
      try require(taken == bytes.count, "a stream that is complete is not taken as a whole")
      try require(parser.hasBegun, "a stream that is complete has not begun")
    }
  }
}
