import LinuxIO
import LinuxProcesses
import MappedRAMFormat
public import SystemPackage

/// The state of a device that comes out of a file, a FIFO, or anything else that can be opened and read.
public struct FileStateSource: DeviceStateSource {
  /// Where it is.
  public let path: FilePath
  /// The size of a regular file; nothing else has one.
  public let byteCount: UInt64?

  /// The state in what is at `path` now.
  ///
  /// - Throws: `ImageError.system` where there is nothing, nothing that can be read, or no right to read it.
  public init(_ path: FilePath) throws(ImageError) {
    self.path = path
    byteCount = try Self.sizeIfRegular(path)
  }

  private static func sizeIfRegular(_ path: FilePath) throws(ImageError) -> UInt64? {
    guard let type = InodeType(at: path) else {
      throw .system(
        SystemCallError(call: .open, errno: .noSuchFileOrDirectory, subject: .file(path)))
    }
    switch type {
    case .directory, .socket:
      throw .system(
        .unsuitable(path, found: type, expected: [.regular, .fifo, .characterDevice]))
    case .regular:
      return try ImageFile(opening: path).end().rawValue
    default: return nil
    }
  }

  /// Reads until the end.
  public func save(to sink: DeviceStateSink) throws(DeviceFailure) {
    let end = try DeviceFailure.system { () throws(SystemCallError) in
      try PipeEnd(reading: path)
    }
    end.widen(to: PipeEnd.deviceBytes)
    while unsafe try sink.put({ (memory) throws(DeviceFailure) in
      try unsafe end.fill(memory, until: sink.stop)
    }) {}
  }
}

/// The state of a device that goes into a file, a FIFO, or anything else that can be opened and written.
///
/// A file appears under its name once all of the state is in it.
public struct FileStateTarget: DeviceStateTarget {
  /// Where it goes.
  public let path: FilePath
  /// Whether it is loaded only once all else is in.
  public var loadsLast = false

  /// The state is to go to `path`.
  ///
  /// - Throws: `TargetError.fileExists` where a file with something in it is there, and not anything may be replaced.
  public init(_ path: FilePath, replacing: Replacing = .images) throws(ImageError) {
    self.path = path
    if case .images = replacing { try TargetContents.checkIsFree(path) }
  }

  /// Writes it all.
  public func load(from feed: DeviceStateFeed) throws(DeviceFailure) {
    switch InodeType(at: path) {
    case nil, .regular: try make(feed)
    default: try stream(feed)
    }
  }

  private func make(_ feed: DeviceStateFeed) throws(DeviceFailure) {
    let pending: PendingFile
    do throws(SystemCallError) {
      pending = try PendingFile.create(at: path, directIO: .off)
    } catch {
      throw .system(error)
    }
    try BufferedFileTarget(file: pending.file).load(from: feed)
    do throws(SystemCallError) {
      try pending.commit()
    } catch {
      throw .system(error)
    }
  }

  private func stream(_ feed: DeviceStateFeed) throws(DeviceFailure) {
    let opened = try DeviceFailure.system { () throws(SystemCallError) in
      try PipeEnd.open(writing: path, until: feed.stop)
    }
    guard let end = opened else { throw .stopped }
    end.widen(to: PipeEnd.deviceBytes)
    while unsafe try feed.next({ (_, bytes) throws(DeviceFailure) in
      try unsafe end.put(bytes, until: feed.stop)
    }) {}
  }
}

extension PipeEnd {
  /// Bytes that a pipe of a device's state holds, where the kernel allows it: a buffer. As much as /proc/sys/fs/pipe-max-size
  /// lets a user have who is not root.
  static let deviceBytes = 1 << 20

  /// Fills `memory` with what comes, up to the end. Nil where that was reached before the first byte.
  borrowing func fill(
    _ memory: UnsafeMutableRawBufferPointer, until stop: StopSignal
  ) throws(DeviceFailure) -> Int? {
    var count = 0
    while count < memory.count {
      let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[count...])
      let got = try DeviceFailure.system { () throws(SystemCallError) in
        try unsafe readSome(into: rest, until: stop)
      }
      guard let got else { throw .stopped }
      if got == 0 { break }
      count += got
    }
    return count == 0 ? nil : count
  }

  /// Writes all of `bytes`.
  borrowing func put(
    _ bytes: UnsafeRawBufferPointer, until stop: StopSignal
  ) throws(DeviceFailure) {
    var count = 0
    while count < bytes.count {
      let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[count...])
      let put = try DeviceFailure.system { () throws(SystemCallError) in
        try unsafe writeSome(rest, until: stop)
      }
      guard let put else { throw .stopped }
      count += put
    }
  }
}

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
