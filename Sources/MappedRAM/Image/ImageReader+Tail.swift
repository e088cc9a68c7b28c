import LinuxIO
import MappedRAMFormat

extension ImageReader {
  /// Looks for the description that the stream leads to, where sections before RAM's have lengths that it says. (QEMU's "early" devices,
  /// like virtio-mem's, which machines seldom have.) RAM is looked at as soon as it is come to, and not again.
  ///
  /// What is wrong with the stream is left to who reads it.
  mutating func settleBeforeRAM() throws(ImageError) {
    var probe = self
    do throws(ImageError) {
      try probe.readElementsBeforeRAM()
      guard probe.cursor.sections.contains(where: { $0.type == .full }) else { return }
    } catch {
      guard case .format = error, cursor.descriptionOffset != nil else { return }
    }
    probe = self
    do throws(ImageError) {
      try StreamCursor.settle(&probe, \.cursor) { (reader) throws(ImageError) in
        try reader.readElementsBeforeRAM()
        while try reader.nextBlock() != nil {}
        try reader.scanTail()
      }
    } catch {
      guard case .format = error else { throw error }
      return
    }
    cursor.use(probe.cursor.description, at: probe.cursor.descriptionOffset)
  }

  /// Reads everything from the end of RAM's START section to the end of the stream.
  ///
  /// - Returns: where the stream ends.
  mutating func readTail() throws(ImageError) -> FileOffset {
    try StreamCursor.settle(&self, \.cursor) { (reader) throws(ImageError) in
      try reader.scanTail()
    }
    return position
  }

  /// The same, with the description that is known now.
  private mutating func scanTail() throws(ImageError) {
    while true {
      guard position < cursor.window.end else {
        throw failure(.missingEndOfStream, at: position, in: .endOfStream)
      }
      let head = try cursor.nextHead()
      guard !head.startsRAM else {
        throw failure(.ramSectionTwice, at: head.start, in: .sectionHeader)
      }
      try cursor.pass(head)
      if case .endOfStream = head.element { break }
    }
    try cursor.readDescription()
  }

  /// What is missing in an image that could be read to its end.
  var incompleteness: FormatError? {
    let hasEnd = cursor.sections.contains { $0.type == .end && $0.identity == .ram }
    return hasEnd ? nil : FormatError(.incompleteSave, at: position, in: .endOfStream)
  }
}
