import LinuxIO

/// Bytes that go from one place to another, in pieces: all that a channel knows of its work.
///
/// What the bytes mean, and which of them matter, is known to the types that conform, above the channels. Pieces
/// may be handled in any order and at the same time by different channels; each is handled once.
protocol Transfer: AnyObject, Sendable {
  /// Where the bytes come from.
  var source: SourceAccess { get }
  /// Where they go.
  var target: TargetAccess { get }
  /// What holds its writes up, if anything does.
  var limit: BandwidthLimit? { get }
  /// How many pieces there are.
  var pieceCount: Int { get }

  /// Piece number `index`.
  func piece(_ index: Int) -> Piece

  /// Appends to `parts` what must be read of `piece`: ascending and disjoint. The rest of the buffer stays undefined.
  func chooseReads(
    of piece: Piece, into parts: inout [Part]
  ) throws(SystemCallError)

  /// Appends to `parts` what must be written of `piece`: ascending and disjoint.
  ///
  /// Called once the parts chosen before, `read`, are in `bytes`, which holds the whole piece and, unless the source is
  /// memory, may be changed.
  func chooseWrites(
    of piece: Piece, in bytes: UnsafeMutableRawBufferPointer, read: [Part], into parts: inout [Part]
  )

  /// Told once all that was chosen of `piece` has been written; not of pieces that an error or a stop leaves undone.
  ///
  /// Called by the channel that has written it.
  func finished(_ piece: Piece)
}

extension Transfer {
  /// Nothing.
  var limit: BandwidthLimit? { nil }

  /// Nothing: most transfers are waited for as a whole.
  func finished(_ piece: Piece) {}
}
