import LinuxIO
import MappedRAMFormat
import SystemPackage

/// Takes the bytes of a stream one after the other and writes them in large calls.
struct StreamSink: ~Copyable {
  /// Where the bytes go.
  enum Target {
    /// A file, from its first byte on.
    case file(File)
    /// A pipe, a socket or any other open file, at its own position. It stays the caller's.
    case descriptor(CInt)
  }

  private let target: Target
  private let progress: TransferProgress
  private let cancellation: Cancellation
  /// Bytes that have not been written yet.
  private var pending: [UInt8] = []
  /// Bytes that have been written.
  private(set) var byteCount: UInt64 = 0

  init(_ target: Target, _ progress: TransferProgress, _ cancellation: Cancellation) {
    self.target = target
    self.progress = progress
    self.cancellation = cancellation
    pending.reserveCapacity(2 * ImageFile.chunkBytes)
  }

  /// Appends bytes.
  mutating func write(_ bytes: some Collection<UInt8>) throws(ImageError) {
    pending.append(contentsOf: bytes)
    if pending.count >= ImageFile.chunkBytes { try flush() }
  }

  /// Appends what `encode` writes.
  mutating func write(_ encode: (inout ByteOutput) -> Void) throws(ImageError) {
    var output = ByteOutput()
    encode(&output)
    try write(output.bytes)
  }

  /// Appends a part of a file.
  ///
  /// - Throws: `endedEarly` if the file has less.
  mutating func copy(_ range: Range<UInt64>, of file: File) throws(ImageError) {
    var position = range.lowerBound
    while position < range.upperBound {
      let count = Int(min(UInt64(ImageFile.chunkBytes), range.upperBound - position))
      try write(try ImageFile(file).read(count, at: FileOffset(position)))
      position += UInt64(count)
    }
  }

  /// Writes what is pending.
  mutating func flush() throws(ImageError) {
    try cancellation.check()
    guard !pending.isEmpty else { return }
    switch target {
    case .file(let file):
      try ImageFile(file).write(pending, at: FileOffset(byteCount))
    case .descriptor(let number):
      try Self.writeAll(pending, to: number)
    }
    byteCount += UInt64(pending.count)
    progress.write(UInt64(pending.count))
    pending.removeAll(keepingCapacity: true)
  }

  private static func writeAll(_ bytes: [UInt8], to number: CInt) throws(ImageError) {
    do {
      _ = try FileDescriptor(rawValue: number).writeAll(bytes)
    } catch {
      // swift-system throws nothing else than an Errno here, though it does not say so.
      throw .system(
        SystemCallError(
          call: .write, errno: error as? Errno ?? .ioError,
          subject: .file(FilePath("/proc/self/fd/\(number)"))))
    }
  }
}
