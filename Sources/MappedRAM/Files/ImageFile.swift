package import LinuxIO
package import MappedRAMFormat
package import SystemPackage

/// A file as the engine reads and writes it beside the channels: in the format's units, whole or with an error, and with one kind of
/// error. Work that may take long ends when it is cancelled.
package struct ImageFile: Sendable {
  /// What the channels use, and what is handed over.
  package let file: File
  /// Asks for the end of the work.
  let cancellation: Cancellation

  /// Bytes that are in memory at once while much is read or written: 1 MiB.
  static let chunkBytes = 1 << 20

  /// `file`, until `cancellation` says otherwise.
  package init(_ file: File, cancellation: Cancellation = Cancellation()) {
    self.file = file
    self.cancellation = cancellation
  }

  /// Opens the file or device at `path`; as `File.open`.
  package init(
    opening path: FilePath, access: File.Access = .read, directIO: DirectIOPolicy = .off,
    isExclusive: Bool = false, cancellation: Cancellation = Cancellation()
  ) throws(ImageError) {
    do throws(SystemCallError) {
      file = try File.open(
        path, access: access, directIO: directIO, isExclusive: isExclusive)
    } catch {
      throw .system(error)
    }
    self.cancellation = cancellation
  }

  /// Opens the image at `path` to be changed where it is.
  ///
  /// Nobody else who asks can have it as long as it is open: a device is opened exclusively, which the kernel refuses for one that
  /// is mounted; the file is locked (flock(2)) against other saves and against VMs that run on it; and it must not have the locks
  /// of a QEMU that has it as a disk.
  ///
  /// - Throws: `TargetError.usedByQEMU`; `system`: EWOULDBLOCK where somebody has it.
  package init(
    changing path: FilePath, directIO: DirectIOPolicy = .off,
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) {
    try self.init(
      opening: path, access: .readWrite, directIO: directIO, isExclusive: true,
      cancellation: cancellation)
    try lock(.exclusive)
    if try calling(file.isLockedByQEMU) { throw .target(.usedByQEMU(path)) }
  }

  /// A file of `byteCount` zeros that is in memory alone; `name` stands in messages.
  init(inMemory name: String, byteCount: ByteCount) throws(ImageError) {
    file = try calling { () throws(SystemCallError) in
      try File.inMemory(name: name, byteCount: byteCount.rawValue)
    }
    cancellation = Cancellation()
  }

  /// The path it was opened by; for messages.
  package var path: FilePath { file.path }
  /// What it is.
  package var kind: File.Kind { file.kind }

  /// The first byte after the file, or after the device.
  package func end() throws(ImageError) -> FileOffset {
    FileOffset(try calling(file.size))
  }

  /// Waits until all that was written, and the size, are on the disk.
  package func sync() throws(ImageError) { try calling(file.syncData) }

  /// Keeps others away, or those who write: see `File.lock`.
  package func lock(_ lock: File.Lock) throws(ImageError) {
    do throws(SystemCallError) { try file.lock(lock) } catch { throw .system(error) }
  }

  /// Cuts the file, or lengthens it with a hole.
  func truncate(to end: FileOffset) throws(ImageError) {
    do throws(SystemCallError) {
      try file.truncate(to: end.rawValue)
    } catch {
      throw .system(error)
    }
  }
}

// MARK: Reading

extension ImageFile {
  /// The `count` bytes at `offset`, or fewer where the file ends. Allocates as many: check a count that comes from a file first.
  func readUp(to count: Int, at offset: FileOffset) throws(ImageError) -> [UInt8] {
    do throws(SystemCallError) {
      return try file.readBytes(at: offset.rawValue, count: count)
    } catch {
      throw .system(error)
    }
  }

  /// The `count` bytes at `offset`.
  ///
  /// - Throws: `endedEarly` if there are fewer.
  package func read(_ count: Int, at offset: FileOffset) throws(ImageError) -> [UInt8] {
    let bytes = try readUp(to: count, at: offset)
    guard bytes.count == count else {
      throw .endedEarly(path, at: offset.rawValue + UInt64(bytes.count))
    }
    return bytes
  }

  /// All bytes, of which there may be `limit`.
  ///
  /// - Throws: `PlanError.fileTooLong`.
  func readAll(limit: ByteCount) throws(ImageError) -> [UInt8] {
    let count = try end() - .zero
    guard count <= limit else {
      throw .plan(.fileTooLong(path, found: count.rawValue, limit: limit.rawValue))
    }
    return try readUp(to: Int(count.rawValue), at: .zero)
  }

  /// The first part of `range` that is no hole, or `nil` where all of it is one.
  func nextData(in range: Range<FileOffset>) throws(ImageError) -> Range<FileOffset>? {
    try cancellation.check()
    do throws(SystemCallError) {
      return try file.nextData(in: range.rawValues).map {
        FileOffset($0.lowerBound)..<FileOffset($0.upperBound)
      }
    } catch {
      throw .system(error)
    }
  }

  /// Reads the page bitmap of `block`; `nil` for a block without one.
  ///
  /// - Complexity: O(bytes of the bitmap).
  func bitmap(of block: ImageBlock) throws(ImageError) -> PageBitmap? {
    var window = try ImageWindow(self)
    return try window.readBitmap(of: block)?.bitmap
  }

  /// Reads the page bitmap of `block`, which stands at `range`.
  ///
  /// - Complexity: O(bytes of the bitmap).
  func bitmap(of block: RAMBlock, at range: Range<FileOffset>) throws(ImageError) -> PageBitmap {
    var window = try ImageWindow(self)
    return try window.readBitmap(of: block, at: range).bitmap
  }
}

// MARK: Writing

extension ImageFile {
  /// Writes `bytes` at `offset`.
  func write(_ bytes: [UInt8], at offset: FileOffset) throws(ImageError) {
    do throws(SystemCallError) {
      try file.write(bytes, at: offset.rawValue)
    } catch {
      throw .system(error)
    }
  }

  /// Writes bytes where they are to stand.
  func write(_ output: ByteOutput) throws(ImageError) {
    try write(output.bytes, at: output.base)
  }

  /// Writes bytes of a stream at `offset`; those that somebody else writes are passed over.
  func write(_ part: StreamBytes, at offset: FileOffset) throws(ImageError) {
    switch part {
    case .bytes(let bytes): try write(bytes, at: offset)
    case .file(let source, let range): try copy(range, of: source, to: offset)
    case .reserved: break
    }
  }

  /// Writes zeros over `range`.
  func zero(_ range: Range<FileOffset>) throws(ImageError) {
    for piece in ZeroPieces(of: range.rawValues) {
      try cancellation.check()
      try write(piece.zeros, at: FileOffset(piece.offset))
    }
  }

  /// Makes a hole of `range`.
  func punch(_ range: Range<FileOffset>) throws(ImageError) {
    try cancellation.check()
    do throws(SystemCallError) {
      try file.punchHole(range.rawValues)
    } catch {
      throw .system(error)
    }
  }

  /// Makes holes of the slots of `pages`, which begin at `slots`; or zeros, where the file can have no holes.
  func clear(
    _ pages: PageBitmap, _ pageSize: PageSize, slots: FileOffset
  ) throws(ImageError) {
    for run in pages.runs {
      let range = pageSize.bytes(of: run, in: slots)
      do throws(ImageError) {
        try punch(range)
      } catch {
        guard error != .cancelled else { throw error }
        try zero(range)
      }
    }
  }

  /// Copies `range` of `source` to `offset` of this file, which is long enough and, unless it is a device, has zeros there. Holes stay
  /// holes; on a device, which has other bytes there, they are written.
  ///
  /// - Throws: `endedEarly` if the source has less than was asked for.
  func copy(
    _ range: Range<FileOffset>, of source: File, to offset: FileOffset
  ) throws(ImageError) {
    let source = ImageFile(source, cancellation: cancellation)
    let end = try source.end()
    guard range.upperBound <= end else { throw .endedEarly(source.path, at: end.rawValue) }
    var position = range.lowerBound
    while position < range.upperBound {
      try cancellation.check()
      let rest = position..<range.upperBound
      guard let data = kind == .blockDevice ? rest : try source.nextData(in: rest) else { return }
      let count = Int(min(UInt64(Self.chunkBytes), data.byteCount.rawValue))
      let bytes = try source.read(count, at: data.lowerBound)
      try write(bytes, at: offset + (data.lowerBound - range.lowerBound))
      position = data.lowerBound + ByteCount(count)
    }
  }
}

extension Range<FileOffset> {
  /// The range as LinuxIO has it.
  var rawValues: Range<UInt64> { lowerBound.rawValue..<upperBound.rawValue }
}

extension PendingFile {
  /// A file that will appear at `path`; as `create(at:directIO:)`.
  static func begin(
    at path: FilePath, directIO: DirectIOPolicy
  ) throws(ImageError) -> PendingFile {
    do throws(SystemCallError) {
      return try create(at: path, directIO: directIO)
    } catch {
      throw .system(error)
    }
  }

  /// Makes the bytes durable and gives the file its name.
  consuming func appear() throws(ImageError) {
    do throws(SystemCallError) { try commit() } catch { throw .system(error) }
  }
}
