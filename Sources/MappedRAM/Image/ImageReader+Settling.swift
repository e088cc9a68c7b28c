import MappedRAMFormat

/// The description that a stream leads to is known only once all sections have been read, and it says how long those are.
///
/// At first the one that ends the file is taken for it, or none. Where the stream leads to another one, since something follows, or
/// since an older image that was longer has left its own at the end of the file, all is read a second time with that.
extension ImageReader {
  /// Where the description stands that the stream has led to; `nil` where it has led to none.
  private var reachedDescription: FileOffset? {
    scanner.sections.last.flatMap { $0.type == .description ? $0.offset : nil }
  }

  /// Whether the description that the lengths of sections were taken from is the one that the stream has led to.
  var isSettled: Bool { reachedDescription == scanner.descriptionOffset }

  /// Takes the lengths of sections from the description to which the stream has led `other`.
  mutating func use(descriptionOf other: ImageReader) {
    scanner.description = other.scanner.description
    scanner.descriptionOffset = other.reachedDescription
  }

  /// Makes sure that reading with the description to which the stream has led leads there again.
  func checkIsSettled() throws(ImageError) {
    guard !isSettled else { return }
    throw window.failure(
      .descriptionElsewhere(found: reachedDescription, expected: scanner.descriptionOffset),
      at: position, in: .description)
  }
}
