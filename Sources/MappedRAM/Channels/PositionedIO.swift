import Glibc
import LinuxIO

/// A channel's I/O through pread and pwrite: each request is carried out when it is made.
struct PositionedIO: ChannelIO, ~Copyable {
  let capacity: Int
  /// The oldest first, so that what was read early is not left behind by what is read next.
  private var completions: [IOCompletion] = []

  init(capacity: Int) {
    self.capacity = capacity
    completions.reserveCapacity(capacity)
  }

  var inFlight: Int { completions.count }

  mutating func read(
    _ file: File, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, tag: Int
  ) {
    let descriptor = unsafe file.descriptor(for: UnsafeRawBufferPointer(buffer), at: offset)
    // SAFETY: the buffer is the caller's, and the call is over when this returns.
    let result = unsafe pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
    complete(tag, result)
  }

  mutating func write(
    _ file: File, from buffer: UnsafeRawBufferPointer, at offset: UInt64, tag: Int
  ) {
    let descriptor = unsafe file.descriptor(for: buffer, at: offset)
    // SAFETY: as in `read`.
    let result = unsafe pwrite(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
    complete(tag, result)
  }

  private mutating func complete(_ tag: Int, _ result: Int) {
    completions.append(IOCompletion(tag: tag, result: result < 0 ? -Int(errno) : result))
  }

  mutating func submit() throws(SystemCallError) {}

  mutating func wait() throws(SystemCallError) {}

  mutating func nextCompletion() -> IOCompletion? {
    completions.isEmpty ? nil : completions.removeFirst()
  }

  /// Each request was over when it was made.
  consuming func close() {}
}
