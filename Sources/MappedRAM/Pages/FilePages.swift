public import LinuxIO
import MappedRAMFormat
public import SystemPackage

/// The contents of a RAMBlock in a raw file, or in a part of one.
public struct FilePages: PageSource, PageTarget {
  /// The file.
  package let file: File
  /// Where the block's first byte is in it.
  public let start: UInt64
  /// Bytes in the block.
  public let byteCount: UInt64
  /// Whether all bytes are zero: whether the file is all holes, unless somebody has cleared the rest
  /// and set this.
  public var startsZero: Bool

  /// The whole of `file`, to be read from.
  ///
  /// - Throws: where the file's size cannot be had.
  package init(reading file: File) throws(SystemCallError) {
    self.file = file
    start = 0
    byteCount = try file.size()
    startsZero = false
  }

  /// The whole of the file at `path`, to be read from.
  ///
  /// - Throws: `ImageError.system`.
  public init(reading path: FilePath, directIO: DirectIOPolicy = .auto) throws(ImageError) {
    try self.init(reading: ImageFile(opening: path, directIO: directIO))
  }

  /// The whole of `file`, to be read from.
  init(reading file: ImageFile) throws(ImageError) {
    self.file = file.file
    start = 0
    byteCount = try (file.end() - .zero).rawValue
    startsZero = false
  }

  /// The `byteCount` bytes of `file` from `start` on, to be written; `startsZero` says that they all read as zeros now.
  package init(
    writing file: File, startingAt start: UInt64 = 0, byteCount: UInt64, startsZero: Bool
  ) {
    self.file = file
    self.start = start
    self.byteCount = byteCount
    self.startsZero = startsZero
  }

  /// The `byteCount` bytes of `file` from `start` on: of memory that another process shares.
  ///
  /// - Throws: where the file's holes cannot be had.
  public init(
    _ file: File, startingAt start: UInt64, byteCount: UInt64
  ) throws(SystemCallError) {
    self.file = file
    self.start = start
    self.byteCount = byteCount
    startsZero = try file.nextDataStart(in: start..<(start + byteCount)) == nil
  }

  /// Read by the channels' own requests.
  public var readAccess: SourceAccess { .file(file, startingAt: start) }
  /// Written by the channels' own requests.
  public var writeAccess: TargetAccess { .file(file, startingAt: start) }

  /// `range` without the hole that it begins with (lseek(2), SEEK_DATA). Further holes in it are cheaper to read than to find.
  ///
  /// Where the file has been cut since it was opened, what is gone is no hole: the answer is `range`, and reading it fails.
  public func nextData(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
    let place = (start + range.lowerBound)..<(start + range.upperBound)
    if let data = try file.nextDataStart(in: place) {
      return (data - start)..<range.upperBound
    }
    return try file.size() < place.upperBound ? range : nil
  }
}
