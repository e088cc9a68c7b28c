public import LinuxIO

/// The contents of a RAMBlock in a raw file: byte *i* of the block is byte *i* of the file.
public struct FilePages: PageSource, PageTarget {
  /// The file.
  public let file: File
  /// Bytes in the block.
  public let byteCount: UInt64
  /// Whether the file was all holes when the restore began.
  public let startsZero: Bool

  /// The whole of `file`, to be read from.
  ///
  /// - Throws: where the file's size cannot be had.
  public init(reading file: File) throws(SystemCallError) {
    self.file = file
    byteCount = try file.size()
    startsZero = false
  }

  /// The first `byteCount` bytes of `file`, to be written; `startsZero` says that they all read as zeros now.
  public init(writing file: File, byteCount: UInt64, startsZero: Bool) {
    self.file = file
    self.byteCount = byteCount
    self.startsZero = startsZero
  }

  /// Read by the channels' own requests.
  public var readAccess: SourceAccess { .file(file) }
  /// Written by the channels' own requests.
  public var writeAccess: TargetAccess { .file(file) }

  /// The first part of `range` that is no hole (lseek(2), SEEK_DATA).
  ///
  /// Where the file has been cut since it was opened, what is gone is no hole: the answer is `range`, and reading it fails.
  public func nextData(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
    if let data = try file.nextData(in: range) { return data }
    return try file.size() < range.upperBound ? range : nil
  }
}
