import LinuxIO
import MappedRAMFormat

/// The state of a device in a file that holds all of its buffers one behind the other, with what they were known to be.
struct BufferedFileSource: DeviceStateSource {
  let file: File
  let buffers: [Buffer]

  /// A buffer in the file: its bytes follow those of the one before.
  struct Buffer: Equatable, Sendable {
    var byteCount: Int
    var isConfiguration: Bool
  }

  var byteCount: UInt64? { buffers.reduce(0) { $0 + UInt64($1.byteCount) } }

  func save(to sink: DeviceStateSink) throws(DeviceFailure) {
    var offset: UInt64 = 0
    for buffer in buffers {
      try unsafe sink.put(isConfiguration: buffer.isConfiguration) {
        (memory) throws(DeviceFailure) in
        let part = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[..<buffer.byteCount])
        let got = try DeviceFailure.system { () throws(SystemCallError) in
          try unsafe file.read(into: part, at: offset)
        }
        guard got == buffer.byteCount else {
          throw .endedEarly(found: offset + UInt64(got), expected: byteCount ?? 0)
        }
        return got
      }
      offset += UInt64(buffer.byteCount)
    }
  }
}

/// Takes the state of a device into a file, all buffers one behind the other.
struct BufferedFileTarget: DeviceStateTarget {
  let file: File

  func load(from feed: DeviceStateFeed) throws(DeviceFailure) {
    var offset: UInt64 = 0
    while unsafe try feed.next({ (_, bytes) throws(DeviceFailure) in
      try DeviceFailure.system { () throws(SystemCallError) in
        try unsafe file.write(bytes, at: offset)
      }
      offset += UInt64(bytes.count)
    }) {}
  }
}
