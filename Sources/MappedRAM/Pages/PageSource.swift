public import LinuxIO

/// Where the contents of a RAMBlock come from.
///
/// The offsets count from the block's first byte. A source is read by several channels at the same time.
public protocol PageSource: Sendable {
  /// Bytes in the source.
  var byteCount: UInt64 { get }

  /// How a channel gets at the bytes.
  var readAccess: SourceAccess { get }

  /// The first part of `range` that may hold anything but zeros, or `nil` if there is none.
  ///
  /// A source that cannot tell returns `range`.
  func nextData(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>?
}

extension PageSource {
  /// The whole range: this source cannot tell zeros from data without reading them.
  public func nextData(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
    range.isEmpty ? nil : range
  }
}

/// The ways in which a channel gets bytes.
public enum SourceAccess: Sendable {
  /// The bytes are read from a file, by the channel's own ring; the first is at `startingAt`.
  case file(File, startingAt: UInt64 = 0)
  /// The bytes are addressable and can be written from where they are.
  case mapping(Mapping)
  /// The bytes must be copied into the channel's buffer.
  case copy(any CopyingSource)

  /// Whether the bytes are read from a file.
  var isFile: Bool { if case .file = self { true } else { false } }
}

/// A source whose bytes are copied out by a call, like the memory of another process.
public protocol CopyingSource: Sendable {
  /// Fills `buffer` with the bytes at `offset`. Called by several threads at once.
  ///
  /// - Throws: an error that says why not all of them could be had.
  func copy(
    into buffer: UnsafeMutableRawBufferPointer, from offset: UInt64
  ) throws(SystemCallError)
}
