import LinuxIO
public import MappedRAMFormat
public import SystemPackage

/// Puts checksums of its contents behind the stream of an image that has none, such as one that QEMU or libvirt wrote (FORMAT.md, section
/// 10.5).
///
/// The stream is read, and not changed. What is written behind it means nothing to any reader until its first eight bytes are there, which
/// are written last: whatever happens before, the image reads as it did.
public struct ImageSeal: Sendable {
  /// The image.
  public var image: FilePath
  /// Where the stream begins; `nil` where the container says, or at 0.
  public var streamOffset: FileOffset?
  /// How the channels work.
  public var options: ChannelOptions

  /// Checksums for the file or device at `image`.
  public init(
    _ image: FilePath, streamOffset: FileOffset? = nil, options: ChannelOptions = .standard
  ) {
    self.image = image
    self.streamOffset = streamOffset
    self.options = options
  }

  /// Puts them into the image itself.
  ///
  /// - Returns: what it took; `nil` where the image has checksums already, which were not looked at: nothing was written then.
  /// - Throws: `format`, where the image is damaged or incomplete; `TargetError.otherAreas`, `.bytesBehindStream`, `.tooSmall`,
  ///   `.usedByQEMU`; `system`: EWOULDBLOCK where a VM runs on the image, or another process is writing it. The image reads as before then.
  /// - Complexity: reads all pages that are present; 16 bytes of memory for each 64 KiB of RAM.
  public func run(
    progress: TransferProgress = TransferProgress(), cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> TransferReport? {
    let stopwatch = Stopwatch()
    let file = try ImageFile(
      changing: image, directIO: options.directIO, cancellation: cancellation)
    let found = try Image(file, streamOffset: streamOffset)
    guard let end = try found.endToSeal() else { return nil }
    guard found.areas == .none else { throw .target(.otherAreas(image)) }
    if file.kind == .regular {
      try Self.checkEnd(of: file, behind: end)
      try file.truncate(to: end)
    }
    do throws(ImageError) {
      var sums = ImageSums(of: found, in: file, options)
      let channels = try sums.read(
        into: try ImageFile(inMemory: "sums", byteCount: .zero), progress: progress)
      var writer = AreasWriter(
        file, behindStream: end, text: found.description?.text, isRevealedLast: true)
      try writer.write(sums.sums, sums.bitmaps, of: found)
      let imageEnd = try writer.close()
      try cancellation.check()
      try writer.reveal()
      return stopwatch.sealReport(of: found, in: file.file, options, channels, end: imageEnd)
    } catch {
      // That this fails too says less than why it came to it; the image reads as it did all the same.
      if file.kind == .regular {
        try? file.truncate(to: end)
      } else {
        try? file.write(Array(repeating: 0, count: AreaHeader.magicByteCount), at: end)
      }
      try? file.sync()
      throw error
    }
  }

  /// Makes a copy of the image with checksums at `path`, and leaves the image as it is. Where the file system can, the two share their blocks.
  ///
  /// - Parameter replacing: what may be at `path` before.
  /// - Throws: `format`, as the other; `TargetError.alreadySealed`, and what is about replacing a file, `.copyOfItself` among it; `system`.
  ///   Nothing is left then.
  public func run(
    copyingTo path: FilePath, replacing: Replacing = .images,
    progress: TransferProgress = TransferProgress(), cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> TransferReport {
    let stopwatch = Stopwatch()
    let file = try ImageFile(
      opening: image, directIO: options.directIO, cancellation: cancellation)
    if let own = FileIdentity(at: image), FileIdentity(at: path) == own {
      throw .target(.copyOfItself(path))
    }
    let found = try Image(file, streamOffset: streamOffset)
    guard let end = try found.endToSeal() else { throw .target(.alreadySealed(image)) }
    try TargetContents.checkReplaced(
      path, streamOffset: found.streamOffset, replacing,
      VMIdentity(ofImage: file, streamOffset: streamOffset))
    let pending = try PendingFile.begin(at: path, directIO: options.directIO)
    let copy = ImageFile(pending.file, cancellation: cancellation)
    let areasEnd = found.areas.headers.last?.range.upperBound ?? end
    let isClone = try calling { () throws(SystemCallError) in try copy.file.clone(file.file) }
    try copy.truncate(to: areasEnd)
    var sums = ImageSums(of: found, in: file, options)
    if !isClone {
      sums.copy = copy
      try sums.copyAllButPages(upTo: areasEnd)
    }
    let scratch = ImageFile(try PendingFile.begin(at: path, directIO: .off).file)
    let channels = try sums.read(into: scratch, progress: progress)
    var writer = AreasWriter(
      copy, behindStream: end, text: found.description?.text, end: areasEnd)
    try writer.write(sums.sums, sums.bitmaps, of: found)
    let imageEnd = try writer.close()
    if let problem = try Image(copy, streamOffset: streamOffset).problems.first {
      throw .save(.unreadable(path, problem))
    }
    try cancellation.check()
    try copy.sync()
    try pending.appear()
    return stopwatch.sealReport(of: found, in: copy.file, options, channels, end: imageEnd)
  }

  /// Looks at what stands behind the stream of a file: of a seal that did not come to its end, or padding, both of which begin with zeros, or
  /// what is somebody's.
  private static func checkEnd(
    of file: ImageFile, behind end: FileOffset
  ) throws(ImageError) {
    let fileEnd = try file.end()
    guard fileEnd > end else { return }
    let bytes = try file.readUp(to: AreaHeader.magicByteCount, at: end)
    guard bytes.allSatisfy({ $0 == 0 }) else {
      throw .target(.bytesBehindStream(file.path, at: end.rawValue, (fileEnd - end).rawValue))
    }
  }
}

extension Image {
  /// Where the stream ends, behind which checksums are to be; `nil` where there are some.
  fileprivate func endToSeal() throws(ImageError) -> FileOffset? {
    if let problem = problems.first { throw .format(problem, in: path) }
    guard let tail else {
      throw .format(FormatError(.incompleteSave, at: fileSize, in: .endOfStream), in: path)
    }
    return areas.headers.contains { $0.kind == .sums } ? nil : tail.upperBound
  }
}

extension Stopwatch {
  fileprivate func sealReport(
    of image: Image, in file: File, _ options: ChannelOptions, _ channels: ChannelReport,
    end: FileOffset
  ) -> TransferReport {
    var report = report(
      ramBytes: image.ramBytes, presentBytes: image.presentBytes, channels: channels,
      options: options, image: file, end: end)
    report.hasChecksums = true
    return report
  }
}

/// The sums of an image's chunks, taken of what is in its slots.
struct ImageSums {
  private let image: Image
  private let file: ImageFile
  private let options: ChannelOptions
  /// Gets the pages as well.
  fileprivate var copy: ImageFile?
  /// The bitmaps of the blocks; `nil` for one without pages in the image.
  private(set) var bitmaps: [PageBitmap?] = []
  /// The sums of each block's chunks, once they have been read.
  private(set) var sums: [BlockSums?] = []

  /// Those of `image`, which is `file`.
  init(of image: Image, in file: ImageFile, _ options: ChannelOptions) {
    self.image = image
    self.file = file
    self.options = options
  }

  /// Reads all pages that are present, at the speed of the disk.
  ///
  /// - Parameter scratch: keeps the sums meanwhile.
  mutating func read(
    into scratch: ImageFile, progress: TransferProgress
  ) throws(ImageError) -> ChannelReport {
    let file = file
    bitmaps = try image.blocks.map { (block) throws(ImageError) in try file.bitmap(of: block) }
    let all = try ChunkSums.all(
      of: zip(image.blocks, bitmaps).map { $1 == nil ? nil : $0.block }, in: scratch)
    sums = all.map { $0.map { .chunks($0) } }
    let extentBytes = ExtentPlan.extentBytes(
      for: image.blocks.lazy.map(\.block), requestBytes: options.requestBytes)
    var pool = try ChannelPool(
      options, extentBytes: extentBytes, progress: progress, cancellation: file.cancellation)
    for (index, block) in image.blocks.enumerated() {
      guard let bitmap = bitmaps[index], let sums = all[index], let slots = block.layout.pages
      else { continue }
      let transfer = SlotSums(
        block.block, bitmap, in: .file(file.file), at: slots.lowerBound.rawValue, to: sums,
        copy: copy?.file, extentBytes: extentBytes)
      progress.plan(block.usedLength.rawValue)
      pool.enqueue(transfer)
    }
    try pool.sync()
    return try pool.finish()
  }

  /// Copies what is no page, before `end`.
  fileprivate func copyAllButPages(upTo end: FileOffset) throws(ImageError) {
    guard let copy else { return }
    var start = FileOffset.zero
    for pages in image.blocks.compactMap(\.layout.pages) {
      try copy.copy(start..<pages.lowerBound, of: file.file, to: start)
      start = pages.upperBound
    }
    try copy.copy(start..<end, of: file.file, to: start)
  }
}
