import MappedRAMFormat

/// The description that a stream leads to is known only once all sections have been read, and it says how long those are.
///
/// At first the one that ends the file is taken for it, since it nearly always is. It may be none of this image's: something follows
/// that, or an older image that was longer has left its own at the end of the file. So where reading with it fails, it is read once
/// more without any; and where a stream leads to another one, all is read again with that. These are three readings at the most, and
/// of one of them at a time is anything kept.
extension ImageReader {
  /// Where the description stands that the stream has led to; `nil` where it has led to none.
  private var reachedDescription: FileOffset? {
    scanner.sections.last.flatMap { $0.type == .description ? $0.offset : nil }
  }

  /// Whether the description that the lengths of sections were taken from is the one that the stream has led to.
  private var isSettled: Bool { reachedDescription == scanner.descriptionOffset }

  /// Takes the lengths of sections from `description`, which begins at `offset`; from none with `nil`.
  private mutating func use(_ description: DeviceDescription?, at offset: FileOffset?) {
    scanner.description = description
    scanner.descriptionOffset = offset
  }

  /// Reads to the end of the stream by `walk`, until it is done with the description that the stream so read leads to.
  ///
  /// - Parameters:
  ///   - state: what `walk` begins with each time; then what it has come to, also where it fails.
  ///   - reader: the reader in it.
  /// - Throws: what `walk` throws with that description; where it leads to none, the error of the reading that came furthest;
  ///   `descriptionElsewhere` where one description leads to another one.
  static func settle<State>(
    _ state: inout State, _ reader: WritableKeyPath<State, ImageReader>,
    _ walk: (inout State) throws(ImageError) -> Void
  ) throws(ImageError) {
    let start = state
    let guess = start[keyPath: reader].scanner.descriptionOffset
    do throws(ImageError) {
      try walk(&state)
    } catch {
      guard case .format(let problem, _) = error, guess != nil else { throw error }
      // What was read is not kept meanwhile: there may be a million sections.
      state = start
      state[keyPath: reader].use(nil, at: nil)
      var isWithout = true
      do throws(ImageError) {
        try walk(&state)
        isWithout = state[keyPath: reader].reachedDescription != guess
      } catch let other {
        guard case .format(let found, _) = other, found.offset <= problem.offset
        else { throw other }
        isWithout = false
      }
      if !isWithout {
        // Comes to the same error, and to what could be read before it.
        state = start
        try walk(&state)
        throw error
      }
    }
    guard !state[keyPath: reader].isSettled else { return }
    let description = state[keyPath: reader].scanner.description
    let place = state[keyPath: reader].reachedDescription
    state = start
    state[keyPath: reader].use(description, at: place)
    try walk(&state)
    let settled = state[keyPath: reader]
    guard settled.isSettled else {
      throw settled.window.failure(
        .descriptionElsewhere(
          found: settled.reachedDescription, expected: settled.scanner.descriptionOffset),
        at: settled.position, in: .description)
    }
  }

  /// Looks for the description that the stream leads to, where sections before RAM's have lengths that it says. (QEMU's "early" devices,
  /// like virtio-mem's, which machines seldom have.) RAM is looked at as soon as it is come to, and not again.
  ///
  /// What is wrong with the stream is left to who reads it.
  mutating func settleBeforeRAM() throws(ImageError) {
    var probe = self
    do throws(ImageError) {
      try probe.readElementsBeforeRAM()
      guard probe.scanner.sections.contains(where: { $0.type == .full }) else { return }
    } catch {
      guard case .format = error, scanner.descriptionOffset != nil else { return }
    }
    probe = self
    do throws(ImageError) {
      try Self.settle(&probe, \.self) { (reader) throws(ImageError) in
        try reader.readElementsBeforeRAM()
        while try reader.nextBlock() != nil {}
        try reader.scanTail()
      }
    } catch {
      guard case .format = error else { throw error }
      return
    }
    use(probe.scanner.description, at: probe.scanner.descriptionOffset)
  }
}
