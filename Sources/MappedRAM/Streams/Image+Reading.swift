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
  ///   - onBitmap: called with each block that has a bitmap, and the bitmap, as soon as they are read; none is kept.
  /// - Throws: `ImageError.system` where the file cannot be read; `.cancelled`.
  /// - Complexity: O(bitmaps + sections); 2 MiB of bitmap a 64 GiB of RAM.
  package init(
    reading file: File, streamOffset: FileOffset? = nil,
    cancellation: Cancellation = Cancellation(),
    onBitmap: (ImageBlock, PageBitmap) throws(ImageError) -> Void = { _, _ in }
  ) throws(ImageError) {
    try self.init(
      ImageFile(file, cancellation: cancellation), streamOffset: streamOffset, onBitmap: onBitmap)
  }

  /// As the other, of the file or device at `path`.
  public init(
    at path: FilePath, streamOffset: FileOffset? = nil,
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) {
    try self.init(
      ImageFile(opening: path, cancellation: cancellation), streamOffset: streamOffset)
  }

  /// As the other, with the bytes of `overlay` taken for those of the file.
  ///
  /// - Parameter behindStream: whether what stands behind the stream is read as well.
  init(
    _ file: ImageFile, streamOffset: FileOffset?, overlay: ByteOutput? = nil,
    behindStream: Bool = true,
    onBitmap: (ImageBlock, PageBitmap) throws(ImageError) -> Void = { _, _ in }
  ) throws(ImageError) {
    var reader = try ImageReader(file, streamOffset: streamOffset, overlay: overlay)
    self.init(path: file.path, fileSize: reader.cursor.window.end)
    do throws(ImageError) {
      try read(with: &reader, behindStream: behindStream, onBitmap)
    } catch {
      guard case .format(let problem, _) = error else { throw error }
      problems.append(problem)
      // With it, there might have been more to read.
      if let other = reader.cursor.descriptionProblem, other != problem { problems.append(other) }
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
    remarks = reader.cursor.remarks
  }

  private mutating func read(
    with reader: inout ImageReader, behindStream: Bool,
    _ onBitmap: (ImageBlock, PageBitmap) throws(ImageError) -> Void
  ) throws(ImageError) {
    if let problem = try reader.readContainer() { problems.append(problem) }
    if behindStream, let problem = try reader.locateAreas() { problems.append(problem) }
    try reader.cursor.locateDescription()
    prologue = try reader.readPrologue()
    ramTotal = reader.list.total
    while var block = try reader.nextBlock() {
      let bitmap = try reader.readBitmap(of: block)
      block.pagesPresent = bitmap?.population
      blocks.append(block)
      if let bitmap { try onBitmap(block, bitmap) }
    }
    let tailStart = reader.position
    let end = try reader.readTail()
    tail = tailStart..<end
    if behindStream { try reader.readAreas() }
    if let problem = reader.incompleteness { problems.append(problem) }
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
