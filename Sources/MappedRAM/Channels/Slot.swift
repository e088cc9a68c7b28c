import LinuxIO

/// A piece under way in a channel, and the buffer it is in.
@safe
struct Slot {
  /// The slot's own part of the channel's memory.
  private let buffer: UnsafeMutableRawBufferPointer
  /// Where the piece's bytes are: in the buffer, or in the source's memory.
  private var base: UnsafeMutableRawPointer?

  /// What is under way, or `nil` in a free slot.
  var claim: WorkQueue.Claim?
  private(set) var piece = Piece(sourceOffset: 0, targetOffset: 0, byteCount: 0)
  private(set) var phase = Phase.reading
  /// What is to be read, or written, in this phase.
  var parts: [Part] = []
  /// What was read, in the writing phase.
  private(set) var read: [Part] = []
  private var nextPart = 0
  /// Bytes of the next part for which requests have been made.
  private var takenBytes = 0
  private var openRequests = 0

  enum Phase { case reading, writing }

  @unsafe
  init(buffer: UnsafeMutableRawBufferPointer) {
    unsafe self.buffer = buffer
    unsafe base = buffer.baseAddress
    parts.reserveCapacity(1024)
    read.reserveCapacity(1024)
  }

  var isFree: Bool { claim == nil }

  /// The file of the present phase's requests.
  var file: File? {
    switch (phase, claim?.transfer.source, claim?.transfer.target) {
    case (.reading, .file(let file, _)?, _), (.writing, _, .file(let file, _)?): file
    default: nil
    }
  }

  /// Where the piece begins in that file.
  var fileOffset: UInt64 {
    switch (phase, claim?.transfer.source, claim?.transfer.target) {
    case (.reading, .file(_, let start)?, _): start + piece.sourceOffset
    case (.writing, _, .file(_, let start)?): start + piece.targetOffset
    default: preconditionFailure("no file")
    }
  }

  mutating func begin(_ claim: WorkQueue.Claim) {
    self.claim = claim
    piece = claim.transfer.piece(claim.piece)
    unsafe precondition(piece.byteCount <= buffer.count, "a piece fits its slot")
    unsafe base = buffer.baseAddress
    phase = .reading
    restart()
  }

  /// Everything that was chosen has been read: what to write comes next.
  mutating func turnToWriting() {
    phase = .writing
    swap(&parts, &read)
    restart()
  }

  private mutating func restart() {
    parts.removeAll(keepingCapacity: true)
    nextPart = 0
    takenBytes = 0
    openRequests = 0
  }

  /// Lets the piece's bytes be those of `mapping` from now on.
  mutating func point(into mapping: Mapping) {
    let end = piece.sourceOffset + UInt64(piece.byteCount)
    precondition(end <= UInt64(mapping.byteCount), "a piece lies inside its source")
    // SAFETY: the piece lies inside the mapping, which the transfer keeps alive; it is not written to.
    unsafe base = mapping.baseAddress + Int(piece.sourceOffset)
  }

  /// The chosen parts as ranges of the source, counted from its begin.
  var sourceRanges: some Sequence<Range<Int>> {
    let start = Int(piece.sourceOffset)
    return parts.lazy.map { (start + $0.range.lowerBound)..<(start + $0.range.upperBound) }
  }

  /// Makes requests needless in this phase: the bytes were copied, or are where they are needed.
  mutating func skipParts() { nextPart = parts.count }

  var hasPartsLeft: Bool { claim != nil && nextPart < parts.count }

  /// The next part for which a request is to be made, at most `limit` bytes of it.
  mutating func takePart(limit: Int) -> Part {
    openRequests += 1
    // The parts stay as they were chosen: what has been read is looked at by them.
    let part = parts[nextPart]
    let start = part.start + takenBytes
    let end = min(start + limit, part.range.upperBound)
    takenBytes += end - start
    if end == part.range.upperBound {
      nextPart += 1
      takenBytes = 0
    }
    return Part(start..<end)
  }

  /// Notes that a request is complete. Returns whether it was the phase's last.
  mutating func endRequest() -> Bool {
    openRequests -= 1
    return openRequests == 0 && nextPart == parts.count
  }

  /// The bytes of the whole piece.
  @unsafe
  var pieceBytes: UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(start: base, count: piece.byteCount)
  }

  /// The bytes of `part` of the piece.
  @unsafe
  func bytes(of part: Part) -> UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(rebasing: pieceBytes[part.range])
  }
}
