import LinuxIO
import URing

extension MeasuredWork {
  /// What a ring costs besides the device: requests to a file in memory, and the making of rings.
  static var rings: [MeasuredWork] {
    [
      MeasuredWork("Making a ring of 32 entries") { { try Ring(entries: 32).close() } }
    ]
      + [1, 8, 32].map { depth in
        MeasuredWork("1024 reads of 4 KiB from memory, \(depth) at once") {
          let file = try File.inMemory(name: "ring", byteCount: 4 << 20)
          let reads = try RingReads(depth: depth)
          return { try reads.run(file) }
        }
      } + [
        MeasuredWork("1024 reads of 4 KiB from memory, pread") {
          let file = try File.inMemory(name: "ring", byteCount: 4 << 20)
          let reads = try PlainReads()
          return { try reads.run(file) }
        }
      ]
  }
}

/// Reads through a ring, `depth` of them at once.
private final class RingReads {
  private let depth: Int
  private let buffer: AlignedBuffer
  private var ring: Ring

  init(depth: Int) throws {
    self.depth = depth
    self.buffer = try AlignedBuffer(byteCount: 4096 * depth)
    self.ring = try Ring(entries: depth)
  }

  func run(_ file: File) throws {
    for first in stride(from: 0, to: 1024, by: depth) {
      for index in 0..<depth {
        unsafe ring.prepareRead(
          descriptor: file.bufferedDescriptor,
          into: UnsafeMutableRawBufferPointer(
            rebasing: buffer.bytes[index * 4096..<(index + 1) * 4096]),
          offset: UInt64(first + index) * 4096, tag: UInt64(index))
      }
      while ring.inFlight > 0 {
        try ring.submitAndWait(minimum: 1)
        while let completion = ring.nextCompletion() { keep(completion) }
      }
    }
  }
}

/// The same reads, one system call each.
private final class PlainReads {
  private let buffer: AlignedBuffer

  init() throws { self.buffer = try AlignedBuffer(byteCount: 4096) }

  func run(_ file: File) throws {
    for index in 0..<1024 { unsafe try file.read(into: buffer.bytes, at: UInt64(index) * 4096) }
  }
}
