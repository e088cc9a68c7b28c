public import LinuxIO

/// Where the contents of a RAMBlock go to.
public protocol PageTarget: Sendable {
  /// Bytes in the target.
  var byteCount: UInt64 { get }

  /// How a channel puts the bytes there.
  var writeAccess: TargetAccess { get }

  /// Whether all that is not written reads as zeros: a new file, fresh memory. Then zero pages need not be written.
  var startsZero: Bool { get }
}

/// The ways in which a channel puts bytes.
public enum TargetAccess: Sendable {
  /// The bytes are written to a file, by the channel's own ring; the first at `startingAt`.
  case file(File, startingAt: UInt64 = 0)
  /// The bytes are copied by a call.
  case copy(any CopyingTarget)
}

/// A target whose bytes are copied in by a call.
public protocol CopyingTarget: Sendable {
  /// Puts the bytes of `buffer` at `offset`. Called by several threads at once, for parts that do not overlap.
  ///
  /// - Throws: an error that says why not all of them could be put.
  func copy(
    from buffer: UnsafeRawBufferPointer, to offset: UInt64
  ) throws(SystemCallError)
}
