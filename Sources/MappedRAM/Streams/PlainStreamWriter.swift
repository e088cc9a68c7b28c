package import LinuxIO
package import MappedRAMFormat

/// A plain migration stream made of an image: all of its device state, and the pages of some of its blocks.
///
/// A destination without the capability `mapped-ram` loads it. Pages that are not in the stream stay at the destination as they are: it
/// has them from somewhere else, as from the image itself, mapped, or they are zero. The stream is the image's own but for
/// this:
///
/// - the capability `mapped-ram` is not in the CONFIGURATION, and the list of capabilities goes when that leaves it empty;
/// - the entries of the block list have no mapped-ram header, and follow one another;
/// - the first PART of RAM has the pages as records; there is no other, and one END.
///
/// The description stays as it is: QEMU passes over it.
package struct PlainStreamWriter: Sendable {
  /// What the stream says that the destination must be like. Its capabilities are those that must be on there.
  package let configuration: Configuration
  /// The blocks whose pages are in the stream, by their names in the image.
  package let carried: Set<String>
  /// What the stream is to say that the VM was doing; `nil` for what the image says.
  package var runState: RunState?
  private let image: Image
  private let file: File
  private let prologue: StreamPrologue
  private let tail: Range<FileOffset>
  private let names: [String: String]
  private let writesZeros: Bool

  /// A stream of `image`, which has been read from `file`.
  ///
  /// - Parameters:
  ///   - carrying: the blocks whose pages are to be in the stream; all where this is `nil`. Blocks that the image itself lacks
  ///     (`x-ignore-shared`) have none.
  ///   - renaming: for blocks that the destination names otherwise, its name.
  ///   - writesZeros: whether absent pages of these blocks are written as well, as zeros, for a destination whose memory is
  ///     not zero: 9 bytes a page.
  /// - Throws: `format`, the image's first problem, if it has any; or a new name that cannot be, or that two blocks would
  ///   have. `PlanError.unknownBlock` for a name that the image does not have.
  package init(
    _ image: Image, in file: File, carrying: Set<String>? = nil, renaming: [String: String] = [:],
    writesZeros: Bool = false
  ) throws(ImageError) {
    if let problem = image.restoreProblem { throw .format(problem, in: image.path) }
    guard var prologue = image.prologue, let tail = image.tail else {
      preconditionFailure("an image that was read")
    }
    let known = image.blocks.map(\.idstr)
    for idstr in Array(carrying ?? []) + Array(renaming.keys) where !known.contains(idstr) {
      throw .plan(.unknownBlock(idstr, known: known))
    }
    prologue.configuration = prologue.configuration.withoutMappedRAM
    configuration = prologue.configuration
    names = Dictionary(
      uniqueKeysWithValues: known.map { ($0, renaming[$0] ?? $0) })
    carried = carrying ?? Set(known)
    self.image = image
    self.file = file
    self.prologue = prologue
    self.tail = tail
    self.writesZeros = writesZeros
    try checkNames()
  }

  private func checkNames() throws(ImageError) {
    var seen: Set<String> = []
    do throws(FormatError) {
      for block in image.blocks.map(\.block) {
        let name = name(of: block)
        _ = try RAMBlock(idstr: name, usedLength: block.usedLength, pageSize: block.pageSize)
        guard seen.insert(name).inserted else {
          throw FormatError(.duplicateBlock, at: .zero, in: .ramBlock(name))
        }
      }
    } catch {
      throw .format(error, in: image.path)
    }
  }

  private func name(of block: RAMBlock) -> String { names[block.idstr] ?? block.idstr }

  /// Writes the stream into `target`, from its first byte on; it should be empty.
  ///
  /// - Returns: bytes in the stream.
  /// - Complexity: O(pages carried + device state); a few MiB of memory.
  /// - Throws: `ImageError`. What is in the target means nothing then.
  package func write(
    to target: File, progress: TransferProgress = TransferProgress(),
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> UInt64 {
    try write(StreamSink(.file(target), progress, cancellation), progress)
  }

  /// Writes the stream into a pipe, a socket or another open file, at its own position. It stays the caller's.
  ///
  /// A call that waits for the other end is not interrupted by a cancellation. The process should ignore SIGPIPE, so that
  /// an end that went away is an error (EPIPE).
  ///
  /// - Returns, throws: as the other `write`.
  package func write(
    toDescriptor descriptor: CInt, progress: TransferProgress = TransferProgress(),
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> UInt64 {
    try write(StreamSink(.descriptor(descriptor), progress, cancellation), progress)
  }

  private func write(
    _ sink: consuming StreamSink, _ progress: TransferProgress
  ) throws(ImageError) -> UInt64 {
    var sink = sink
    for block in image.blocks where carried.contains(block.idstr) {
      progress.plan(block.usedLength.rawValue)
    }
    try writeHead(to: &sink)
    var hasPages = false
    var hasEnd = false
    for section in image.sections where section.offset >= tail.lowerBound {
      if section.isRAM {
        // Where the image has its first PART of RAM, or its END: behind the STARTs of other devices, as QEMU has it.
        if !hasPages { try writePages(to: &sink, progress) }
        hasPages = true
        guard section.type == .end, !hasEnd else { continue }
        hasEnd = true
      }
      try write(section, to: &sink)
    }
    try sink.flush()
    return sink.byteCount
  }

  /// Writes an element as it stands in the image.
  private func write(_ section: ImageSection, to sink: inout StreamSink) throws(ImageError) {
    var start = section.offset.rawValue
    let end = start + section.byteCount.rawValue
    if let runState, section.isGlobalState,
      section.body.byteCount >= ByteCount(GlobalState.byteCount)
    {
      try sink.copy(start..<section.body.lowerBound.rawValue, of: file)
      try sink.write { GlobalState(runState).encode(into: &$0) }
      start = section.body.lowerBound.rawValue + UInt64(GlobalState.byteCount)
    }
    try sink.copy(start..<end, of: file)
  }

  /// Writes all up to the end of RAM's START section.
  private func writeHead(to sink: inout StreamSink) throws(ImageError) {
    try sink.write(prologue.encoded(at: .zero).bytes)
    let total = image.blocks.reduce(ByteCount.zero) { $0 + $1.usedLength }
    try sink.write { RAMWord.memorySize(total).encode(into: &$0) }
    let form = RAMBlockEntry.Form(configuration)
    for block in image.blocks.map(\.block) {
      let entry = RAMBlockEntry(
        idstr: name(of: block), usedLength: block.usedLength,
        address: form.hasAddress ? block.address ?? 0 : nil)
      try sink.write { entry.encode(into: &$0) }
    }
    try sink.write(prologue.encodedListEnd(at: .zero).bytes)
  }

  /// Writes a PART with the pages of the blocks that are carried.
  private func writePages(
    to sink: inout StreamSink, _ progress: TransferProgress
  ) throws(ImageError) {
    try sink.write { StreamElement.part(id: prologue.ramSectionID).encode(into: &$0) }
    for block in image.blocks where carried.contains(block.idstr) {
      let records = PageRecords(
        block: block, file: ImageFile(file), idstr: name(of: block.block), writesZeros: writesZeros)
      try records.write(to: &sink, progress: progress)
    }
    try sink.write(prologue.encodedListEnd(at: .zero).bytes)
  }
}

/// Writes a block's pages as records of a plain stream, read from an image's slots.
struct PageRecords {
  let block: ImageBlock
  let file: ImageFile
  /// The block's name in the stream.
  let idstr: String
  /// Whether absent pages are written too, as zeros.
  let writesZeros: Bool

  /// Appends the records to `sink`: ascending, the first with the block's name.
  func write(to sink: inout StreamSink, progress: TransferProgress) throws(ImageError) {
    // A block that the image itself lacks has none.
    defer { progress.finish(block.usedLength.rawValue) }
    guard let slots = block.layout.pages, let present = try file.bitmap(of: block) else {
      return
    }
    var name: String? = idstr
    var position = 0
    for run in present.runs {
      try writeZeros(position..<run.lowerBound, &name, to: &sink)
      try writePages(run, at: slots.lowerBound, &name, to: &sink)
      position = run.upperBound
    }
    try writeZeros(position..<block.pageCount, &name, to: &sink)
  }

  private func writePages(
    _ run: Range<Int>, at slots: FileOffset, _ name: inout String?, to sink: inout StreamSink
  ) throws(ImageError) {
    let pageSize = block.pageSize
    let step = ImageFile.chunkBytes >> pageSize.shift
    for first in stride(from: run.lowerBound, to: run.upperBound, by: step) {
      let count = min(step, run.upperBound - first)
      let offset = UInt64(first) << UInt64(pageSize.shift)
      let bytes = try file.read(pageSize.bytes(inPages: count), at: slots + ByteCount(offset))
      for page in 0..<count {
        let start = pageSize.bytes(inPages: page)
        try sink.write { output in
          RAMRecord.page(offset: offset + UInt64(start), idstr: name).encode(into: &output)
        }
        try sink.write(bytes[start..<(start + pageSize.byteCount)])
        name = nil
      }
    }
  }

  private func writeZeros(
    _ pages: Range<Int>, _ name: inout String?, to sink: inout StreamSink
  ) throws(ImageError) {
    guard writesZeros else { return }
    for page in pages {
      let offset = UInt64(page) << UInt64(block.pageSize.shift)
      try sink.write { output in
        RAMRecord.zero(offset: offset, idstr: name).encode(into: &output)
      }
      name = nil
    }
  }
}
