import LinuxIO
import URing

/// A channel's I/O through a ring.
struct RingIO: ChannelIO, ~Copyable {
  private var ring: Ring
  let capacity: Int

  /// Makes a ring for `capacity` requests and registers `arena` with it, if the kernel lets us pin that much.
  init(
    capacity: Int, arena: UnsafeMutableRawBufferPointer, notes: ChannelNotes
  ) throws(SystemCallError) {
    var ring = try Ring(entries: capacity)
    do throws(SystemCallError) {
      try unsafe ring.registerBuffer(arena)
    } catch {
      notes.add(.buffersNotRegistered(error))
    }
    self.ring = ring
    self.capacity = capacity
  }

  var inFlight: Int { ring.inFlight }

  mutating func read(
    _ file: File, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, tag: Int
  ) {
    let descriptor = unsafe file.descriptor(for: UnsafeRawBufferPointer(buffer), at: offset)
    unsafe ring.prepareRead(
      descriptor: descriptor, into: buffer, offset: offset, tag: UInt64(tag))
  }

  mutating func write(
    _ file: File, from buffer: UnsafeRawBufferPointer, at offset: UInt64, tag: Int
  ) {
    let descriptor = unsafe file.descriptor(for: buffer, at: offset)
    unsafe ring.prepareWrite(
      descriptor: descriptor, from: buffer, offset: offset, tag: UInt64(tag))
  }

  mutating func submit() throws(SystemCallError) { try ring.submitAndWait(minimum: 0) }

  mutating func wait() throws(SystemCallError) { try ring.submitAndWait(minimum: 1) }

  mutating func nextCompletion() -> IOCompletion? {
    ring.nextCompletion().map { IOCompletion(tag: Int($0.tag), result: Int($0.result)) }
  }

  consuming func close() { ring.close() }
}
