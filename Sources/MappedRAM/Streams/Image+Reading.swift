package import LinuxIO
public import MappedRAMFormat
public import SystemPackage

extension Image {
  /// Reads an image's structures, never its pages.
  ///
  /// A damaged image is no error: what is wrong stands in `problems`, after which reading stopped.
  ///
  /// - Parameters:
  ///   - file: the image.
  ///   - streamOffset: where the stream begins; `nil` where the container says, or at 0.
  ///   - cancellation: ends the reading.
  /// - Throws: `ImageError.system` where the file cannot be read; `.cancelled`.
  /// - Complexity: O(bitmaps + sections), of which no bitmap is in memory at once; 2 MiB of bitmap a 64 GiB of RAM.
  package init(
    reading file: File, streamOffset: FileOffset? = nil,
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) {
    try self.init(ImageFile(file, cancellation: cancellation), streamOffset: streamOffset)
  }

  /// The same, for who needs the bitmaps too.
  ///
  /// - Parameter onBitmap: called with each block that has a bitmap, and the bitmap, as soon as they are read; none is kept.
  package init(
    reading file: File, streamOffset: FileOffset? = nil,
    cancellation: Cancellation = Cancellation(),
    onBitmap: (ImageBlock, PageBitmap) throws(ImageError) -> Void
  ) throws(ImageError) {
    try self.init(
      ImageFile(file, cancellation: cancellation), streamOffset, overlay: nil, behindStream: true
    ) { (block, reader) throws(ImageError) in
      guard let bitmap = try reader.readBitmap(of: block) else { return }
      block.pagesPresent = bitmap.population
      try onBitmap(block, bitmap)
    }
  }

  /// As the first, of the file or device at `path`.
  public init(
    at path: FilePath, streamOffset: FileOffset? = nil,
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) {
    try self.init(
      ImageFile(opening: path, cancellation: cancellation), streamOffset: streamOffset)
  }

  /// As the first, with the bytes of `overlay` taken for those of the file.
  ///
  /// - Parameter behindStream: whether what stands behind the stream is read as well.
  init(
    _ file: ImageFile, streamOffset: FileOffset?, overlay: ByteOutput? = nil,
    behindStream: Bool = true
  ) throws(ImageError) {
    try self.init(file, streamOffset, overlay: overlay, behindStream: behindStream) {
      (block, reader) throws(ImageError) in
      block.pagesPresent = try reader.countPages(of: block)
    }
  }

  /// - Parameter readBitmap: reads the bitmap of a block, if it has one, and says how many pages are present.
  private init(
    _ file: ImageFile, _ streamOffset: FileOffset?, overlay: ByteOutput?, behindStream: Bool,
    _ readBitmap: (inout ImageBlock, inout ImageReader) throws(ImageError) -> Void
  ) throws(ImageError) {
    var reader = try ImageReader(file, streamOffset: streamOffset, overlay: overlay)
    self.init(path: file.path, fileSize: reader.cursor.window.end)
    do throws(ImageError) {
      try read(with: &reader, behindStream: behindStream, readBitmap)
    } catch {
      guard case .format(let problem, _) = error else { throw error }
      problems.append(problem)
      // Areas that were not come to.
      if reader.areas == .none, let other = reader.lineProblem {
        reader.takeLineProblem()
        if other != problem { problems.append(other) }
      }
      // With it, there might have been more to read of the stream.
      if tail == nil, let other = reader.cursor.descriptionProblem, other != problem {
        problems.append(other)
      }
    }
    take(reader)
  }

  /// Takes over what a reader has found besides the blocks.
  mutating func take(_ reader: ImageReader) {
    // Whether there are footers is known only behind the block list.
    prologue?.hasFooters = reader.cursor.hasFooters
    container = reader.container
    streamOffset = reader.streamOffset
    sections = reader.cursor.sections
    description = reader.cursor.description
    areas = reader.areas
    deviceArea = reader.deviceArea
    facts = reader.facts
    lacksNeededArea = reader.lacksNeededArea
    remarks = reader.cursor.remarks
  }

  private mutating func read(
    with reader: inout ImageReader, behindStream: Bool,
    _ readBitmap: (inout ImageBlock, inout ImageReader) throws(ImageError) -> Void
  ) throws(ImageError) {
    if let problem = try reader.readContainer() { problems.append(problem) }
    if behindStream, let problem = try reader.locateAreas() { problems.append(problem) }
    try reader.cursor.locateDescription()
    prologue = try reader.readPrologue()
    ramTotal = reader.list.total
    while var block = try reader.nextBlock() {
      try readBitmap(&block, &reader)
      blocks.append(block)
    }
    let tailStart = reader.position
    let end = try reader.readTail()
    tail = tailStart..<end
    if let problem = reader.incompleteness { problems.append(problem) }
    if behindStream { try reader.readAreas() }
  }
}

extension ImageBlock {
  /// Reads the block's page bitmap anew from the image `file`.
  ///
  /// - Returns: `nil` for a block without a bitmap.
  /// - Complexity: O(bytes of the bitmap).
  /// - Throws: `ImageError`: the file cannot be read, or ends before the bitmap does.
  package func readBitmap(from file: File) throws(ImageError) -> PageBitmap? {
    try ImageFile(file).bitmap(of: self)
  }
}
