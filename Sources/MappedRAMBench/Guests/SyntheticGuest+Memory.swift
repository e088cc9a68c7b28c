import LinuxIO
package import MappedRAM
import Synchronization

extension SyntheticGuest {
  /// Puts the guest's memory into `target`, zeros as well, so that every page of it has been touched afterwards.
  ///
  /// - Parameter threads: how many share the work.
  /// - Throws: the target's error, `ImageError.cancelled`.
  package func fill(
    _ target: some CopyingTarget & Sendable, threads: Int,
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) {
    try unsafe forEachPiece(threads, cancellation) { (piece, buffer) throws(SystemCallError) in
      // SAFETY: the buffer is this thread's, and nobody keeps it.
      try unsafe self.copy(into: buffer, from: piece)
      try unsafe target.copy(from: UnsafeRawBufferPointer(buffer), to: piece)
    }
  }

  /// Looks whether `source` holds the guest's memory, every byte of it.
  ///
  /// - Parameter threads: how many share the work.
  /// - Throws: the source's error, `ImageError.cancelled`.
  package func check(
    _ source: some CopyingSource & Sendable, threads: Int,
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> SyntheticCheck {
    let check = SyntheticCheck(self)
    try unsafe forEachPiece(threads, cancellation) { (piece, buffer) throws(SystemCallError) in
      // SAFETY: as above.
      try unsafe source.copy(into: buffer, from: piece)
      try unsafe check.copy(from: UnsafeRawBufferPointer(buffer), to: piece)
    }
    return check
  }

  /// Bytes that a thread takes up at once.
  private static let pieceBytes = 1 << 20

  private func forEachPiece(
    _ threads: Int, _ cancellation: Cancellation,
    _ body:
      @escaping @Sendable (UInt64, UnsafeMutableRawBufferPointer) throws(SystemCallError)
      -> Void
  ) throws(ImageError) {
    let shared = SharedPieces(byteCount: byteCount, pieceBytes: UInt64(Self.pieceBytes))
    try inParallel(threads) { () throws(ImageError) in
      try calling { () throws(SystemCallError) in
        let buffer = try AlignedBuffer(byteCount: Self.pieceBytes)
        while !cancellation.isCancelled, let piece = shared.take() {
          // SAFETY: the piece is no longer than the buffer.
          let part = unsafe UnsafeMutableRawBufferPointer(
            rebasing: buffer.bytes[..<Int(piece.upperBound - piece.lowerBound)])
          try unsafe body(piece.lowerBound, part)
        }
      }
    }
    try cancellation.check()
  }
}

/// Pieces of a number of bytes, each for one thread.
private final class SharedPieces: Sendable {
  private let next = Atomic<UInt64>(0)
  private let byteCount: UInt64
  private let pieceBytes: UInt64

  init(byteCount: UInt64, pieceBytes: UInt64) {
    self.byteCount = byteCount
    self.pieceBytes = pieceBytes
  }

  /// The next piece; `nil` when all have been taken.
  func take() -> Range<UInt64>? {
    let start = next.wrappingAdd(pieceBytes, ordering: .relaxed).oldValue
    return start < byteCount ? start..<min(start + pieceBytes, byteCount) : nil
  }
}
