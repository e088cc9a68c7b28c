import LinuxIO
import SystemPackage

/// A buffer of a channel, and the extent that is under way in it: first read, then written.
@safe
struct ChannelBuffer {
  /// The buffer's own part of the channel's memory.
  private let memory: UnsafeMutableRawBufferPointer
  /// Where the extent's bytes are: in the buffer's memory, or in the source's.
  private var base: UnsafeMutableRawPointer?

  /// The work under way, or `nil` in a free buffer.
  var claim: WorkQueue.Claim?
  private(set) var extent = Extent(sourceOffset: 0, targetOffset: 0, byteCount: 0)
  private(set) var phase = Phase.reading
  /// What is to be read, or written, in this phase.
  var runs: [Run] = []
  /// What was read, in the writing phase.
  private(set) var read: [Run] = []
  private var nextRun = 0
  /// Bytes of the next run for which requests have been made.
  private var takenBytes = 0
  private var openRequests = 0

  enum Phase { case reading, writing }

  @unsafe
  init(memory: UnsafeMutableRawBufferPointer) {
    unsafe self.memory = memory
    unsafe base = memory.baseAddress
    runs.reserveCapacity(1024)
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

  /// Where the extent begins in that file.
  var fileOffset: UInt64 {
    switch (phase, claim?.transfer.source, claim?.transfer.target) {
    case (.reading, .file(_, let start)?, _): start + extent.sourceOffset
    case (.writing, _, .file(_, let start)?): start + extent.targetOffset
    default: preconditionFailure("no file")
    }
  }

  mutating func begin(_ claim: WorkQueue.Claim) {
    self.claim = claim
    extent = claim.transfer.extent(claim.extent)
    unsafe precondition(extent.byteCount <= memory.count, "an extent fits its buffer")
    unsafe base = memory.baseAddress
    phase = .reading
    restart()
  }

  /// Everything that was chosen has been read: what to write comes next.
  mutating func turnToWriting() {
    phase = .writing
    swap(&runs, &read)
    restart()
  }

  private mutating func restart() {
    runs.removeAll(keepingCapacity: true)
    nextRun = 0
    takenBytes = 0
    openRequests = 0
  }

  /// Lets the extent's bytes be those of `mapping` from now on.
  mutating func point(into mapping: Mapping) {
    let end = extent.sourceOffset + UInt64(extent.byteCount)
    precondition(end <= UInt64(mapping.byteCount), "an extent lies inside its source")
    // SAFETY: the extent lies inside the mapping, which the transfer keeps alive; it is not written
    // to.
    unsafe base = mapping.baseAddress + Int(extent.sourceOffset)
  }

  /// Bytes of all chosen runs.
  var runBytes: Int { runs.reduce(0) { $0 + $1.count } }

  /// The chosen runs as ranges of the source, counted from its begin.
  var sourceRanges: some Sequence<Range<Int>> {
    let start = Int(extent.sourceOffset)
    return runs.lazy.map { (start + $0.lowerBound)..<(start + $0.upperBound) }
  }

  // MARK: Requests

  /// Makes requests needless in this phase: the bytes were copied, or are where they are needed.
  mutating func skipRuns() { nextRun = runs.count }

  var hasRunsLeft: Bool { claim != nil && nextRun < runs.count }

  /// The next bytes for which a request is to be made: at most `limit`, of one run.
  mutating func takeRun(limit: Int) -> Run {
    openRequests += 1
    // The runs stay as they were chosen: what has been read is looked at by them.
    let run = runs[nextRun]
    let start = run.lowerBound + takenBytes
    let end = min(start + limit, run.upperBound)
    takenBytes += end - start
    if end == run.upperBound {
      nextRun += 1
      takenBytes = 0
    }
    return start..<end
  }

  /// Notes that a request is complete. Returns whether it was the phase's last.
  mutating func endRequest() -> Bool {
    openRequests -= 1
    return openRequests == 0 && nextRun == runs.count
  }

  /// The bytes of the whole extent.
  @unsafe
  var extentBytes: UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(start: base, count: extent.byteCount)
  }

  /// The bytes of `run` of the extent.
  @unsafe
  func bytes(of run: Run) -> UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(rebasing: extentBytes[run])
  }
}

/// A read or write under way: what is left of it.
struct Request {
  /// The number of the buffer.
  var buffer: Int
  var isRead: Bool
  /// The rest of it, in the buffer's extent.
  var rest: Run
  /// Where in the file the rest begins.
  var fileOffset: UInt64

  /// Notes that `count` bytes came: the rest is asked for again.
  mutating func advance(by count: Int) {
    rest = (rest.lowerBound + count)..<rest.upperBound
    fileOffset += UInt64(count)
  }

  /// The error of this request.
  func error(_ errno: Errno, file: File) -> SystemCallError {
    SystemCallError(
      call: isRead ? .pread : .pwrite, errno: errno,
      subject: .range(file.path, fileOffset..<(fileOffset + UInt64(rest.count))))
  }
}

/// The requests under way, by tag.
struct RequestTable {
  private var requests: [Request?]
  private var freeTags: [Int]

  init(capacity: Int) {
    requests = Array(repeating: nil, count: capacity)
    freeTags = Array((0..<capacity).reversed())
  }

  mutating func insert(_ request: Request) -> Int {
    guard let tag = freeTags.popLast() else { preconditionFailure("a tag for each request") }
    requests[tag] = request
    return tag
  }

  /// The request under way with this tag.
  subscript(tag: Int) -> Request {
    guard let request = requests[tag] else { preconditionFailure("one completion a request") }
    return request
  }

  mutating func remove(_ tag: Int) -> Request {
    guard let request = requests[tag] else { preconditionFailure("one completion a request") }
    requests[tag] = nil
    freeTags.append(tag)
    return request
  }
}
