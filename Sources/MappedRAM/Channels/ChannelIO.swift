import LinuxIO
import SystemPackage

/// What a channel does its I/O with: a ring, or plain positioned calls.
///
/// Requests are made, then waited for; each ends in one completion with the tag that it was given. Completions come in any
/// order and may be short.
protocol ChannelIO: ~Copyable {
  /// The most requests that may be under way.
  var capacity: Int { get }
  /// Requests made whose completions have not been handed out.
  var inFlight: Int { get }

  /// Begins to read from `offset` of `file`.
  ///
  /// - Precondition: fewer than `capacity` requests are under way, and the buffer stays until the completion.
  mutating func read(
    _ file: File, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, tag: Int)

  /// Begins to write to `offset` of `file`; as `read`.
  mutating func write(
    _ file: File, from buffer: UnsafeRawBufferPointer, at offset: UInt64, tag: Int)

  /// Lets what was made begin, without waiting.
  mutating func submit() throws(SystemCallError)

  /// Waits until at least one request is complete, if any is under way.
  mutating func wait() throws(SystemCallError)

  /// The next completion that is there, or `nil`.
  mutating func nextCompletion() -> IOCompletion?

  /// Ends the I/O. When this returns, nothing touches the memory of any request, completed or not.
  consuming func close()
}

/// The end of a request.
struct IOCompletion: Equatable, Sendable {
  /// What the request was given.
  var tag: Int
  /// Bytes moved, or a negated errno.
  var result: Int

  /// Whether it is no more than that the request was interrupted, or came at a bad time.
  var isToBeMadeAgain: Bool {
    result == -Int(Errno.interrupted.rawValue)
      || result == -Int(Errno.resourceTemporarilyUnavailable.rawValue)
  }
}

/// Makes the I/O of a channel, on the channel's own thread.
protocol ChannelIOFactory: Sendable {
  /// Makes the I/O that `work` asks for and lets it run with that.
  ///
  /// - Throws: where the I/O cannot be made; nothing has run then.
  func perform(_ work: ChannelWork) throws(SystemCallError)
}
