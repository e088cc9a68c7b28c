import LinuxIO
import SystemPackage

/// A read or write under way: what is left of it.
struct Request {
  var slot: Int
  var isRead: Bool
  /// Where in the piece the rest begins.
  var start: Int
  /// Bytes still to come.
  var remaining: Int
  /// Where in the file the rest begins.
  var fileOffset: UInt64

  /// Notes that `count` bytes came: the rest is asked for again.
  mutating func advance(by count: Int) {
    start += count
    remaining -= count
    fileOffset += UInt64(count)
  }

  /// The error of this request.
  func error(_ errno: Errno, file: File) -> SystemCallError {
    SystemCallError(
      call: isRead ? .pread : .pwrite, errno: errno,
      subject: .range(file.path, fileOffset..<(fileOffset + UInt64(remaining))))
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
