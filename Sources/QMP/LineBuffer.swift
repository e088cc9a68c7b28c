import MappedRAMFormat

/// Bytes that have come from QEMU, taken out line by line.
///
/// Each byte is looked at once for the end of its line.
struct LineBuffer {
  /// The most bytes that a line may have, its newline not counted.
  let limit: Int
  /// Appended to by the receiver.
  var bytes: [UInt8] = []
  /// Where the first line that was not taken begins.
  private var start = 0
  /// Up to where no end of line is.
  private var scanned = 0
  /// The line that was taken last.
  private var last = 0..<0

  init(limit: Int) {
    self.limit = limit
  }

  /// The place of the next whole line in `bytes`, without its end; `nil` if there is none yet.
  ///
  /// It is valid until the next call.
  mutating func next() -> Range<Int>? {
    guard let end = bytes[scanned...].firstIndex(of: 0x0A) else {
      scanned = bytes.count
      // What was taken is given back once, when the buffer holds only the begin of a line.
      if start > 0 {
        bytes.removeSubrange(..<start)
        scanned -= start
        (start, last) = (0, 0..<0)
      }
      return nil
    }
    last = start..<end
    (start, scanned) = (end + 1, end + 1)
    return last
  }

  /// Whether the unfinished line at the end is longer than allowed.
  var isOverLimit: Bool { bytes.count - start > limit }
}

extension LineBuffer {
  /// The begin of the unfinished line, for messages; `nil` if it is empty.
  var restText: String? {
    bytes.count > start ? Self.text(bytes[start...]) : nil
  }

  /// The begin of the line that was taken last, for messages.
  var lastText: String { Self.text(bytes[last]) }

  private static func text(_ line: ArraySlice<UInt8>) -> String {
    String(decoding: line.prefix(80).filter { $0 != 0x0D }, as: UTF8.self)
  }
}
