/// Standard output, written in large pieces.
final class OutputBuffer {
  private var text = ""
  private var failure: CommandError?

  /// Bytes that are gathered before they are written.
  private static let pieceBytes = 64 << 10

  /// Takes text. What goes wrong is kept for `finish`.
  func write(_ more: String) {
    text += more
    if text.utf8.count >= Self.pieceBytes { flush() }
  }

  /// Writes what is left.
  ///
  /// - Throws: what went wrong first.
  func finish() throws(CommandError) {
    flush()
    if let failure { throw failure }
  }

  /// Writes what there is, so that what goes to standard error comes after it.
  func flush() {
    defer { text = "" }
    guard failure == nil, !text.isEmpty else { return }
    do throws(CommandError) {
      try Console.writeOutput(text)
    } catch {
      failure = error
    }
  }
}
