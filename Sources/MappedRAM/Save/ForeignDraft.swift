package import LinuxIO
package import MappedRAMFormat
package import SystemPackage

/// An image that somebody else writes, like QEMU itself, and that we check, make durable and give its name.
///
/// The writer gets descriptors, which it may keep. Nothing is visible until `commit`, and nothing is left if the value is dropped
/// before: in place, no image. Regular files only: QEMU 10.0.2 cuts the file that it writes to, which a block device refuses (observed).
package struct ForeignDraft: ~Copyable, Sendable {
  /// The file that the image is written into. `openAgain(for: .writing, direct:)` gives a descriptor for the writer.
  package let file: File
  /// Where the stream is to begin.
  package let streamOffset: FileOffset
  /// Of the two, the one in whose way the file becomes an image.
  private var pending: PendingFile?
  private var overwritten: OverwrittenFile?

  /// Makes the file that will appear at `path`, or with `inPlace` opens the one that is there and cuts it at `streamOffset`.
  ///
  /// - Throws: `ImageError.system`. A device is no file. `TargetError.notAnImage` where something else than an image is there
  ///   and may not be replaced, `.anotherVM` where it is known not to be of `vm`; `TargetError.usedByQEMU`.
  package static func begin(
    at path: FilePath, inPlace: Bool = false, streamOffset: FileOffset = .zero,
    replacing: Replacing = .images, vm: VMIdentity = VMIdentity(),
    directIO: DirectIOPolicy = .auto
  ) throws(ImageError) -> ForeignDraft {
    guard inPlace else {
      try TargetContents.checkReplaced(path, streamOffset: streamOffset, replacing, vm)
      let pending = try PendingFile.begin(at: path, directIO: directIO)
      let file = pending.file
      return ForeignDraft(
        file: file, streamOffset: streamOffset, pending: consume pending, overwritten: nil)
    }
    guard !File.isBlockDevice(path) else {
      throw .system(.unsuitable(path, found: .blockDevice, expected: [.regular]))
    }
    let file = try ImageDraft.openInPlace(
      path, streamOffset: streamOffset, replacing: replacing, vm: vm, directIO: directIO)
    try file.truncate(to: streamOffset)
    return ForeignDraft(
      file: file.file, streamOffset: streamOffset, pending: nil,
      overwritten: OverwrittenFile(file: file, streamOffset: streamOffset))
  }

  /// Reads what was written as any reader would, adds what is wanted behind the stream, makes it durable, and lets the image appear under its name.
  ///
  /// Only once the writer has said that it is done. Where this throws nothing is left; in place, no image.
  ///
  /// - Parameters:
  ///   - blocks: the used length of each block that the image must have, no more and no fewer; `nil` for any.
  ///   - facts: what the image is of; `nil` where it is to say nothing of that.
  ///   - checksums: how the channels work that read all pages again for checksums; `nil` where there are to be none.
  ///   - runState: what the image is to say that the VM was doing; `nil` for what the writer said.
  ///   - beforeCommit: called once the image is durable, right before it gets its name.
  /// - Returns: the image's structures.
  /// - Throws: `format`, where the image is not whole; `SaveError.blockDiffers`; `system`.
  package consuming func commit(
    expecting blocks: [String: ByteCount]? = nil, facts: ImageFacts? = nil,
    checksums: ChannelOptions? = nil, runState: RunState? = nil,
    progress: TransferProgress = TransferProgress(),
    cancellation: Cancellation = Cancellation(), beforeCommit: () -> Void = {}
  ) throws(ImageError) -> Image {
    let file = ImageFile(file, cancellation: cancellation)
    let streamOffset = streamOffset
    // Whichever there is goes with this call, unless it comes to its end.
    let pending = pending.take()
    var overwritten = overwritten.take()
    var image = try Self.check(file, streamOffset, blocks)
    if let runState { _ = try image.setRunState(runState, in: file.file) }
    if facts != nil || checksums != nil, image.areas == .none, let end = image.tail?.upperBound {
      var writer = AreasWriter(file, behindStream: end, text: image.description?.text)
      if let facts { try writer.write(facts) }
      if let checksums {
        var sums = ImageSums(of: image, in: file, checksums)
        // Where the image is written in place, nothing may be allowed beside it.
        let scratch =
          overwritten == nil
          ? ImageFile(try PendingFile.begin(at: file.path, directIO: .off).file)
          : try ImageFile(inMemory: "sums", byteCount: .zero)
        _ = try sums.read(into: scratch, progress: progress)
        try writer.write(sums.sums, sums.bitmaps, of: image)
      }
      _ = try writer.close()
      image = try Self.check(file, streamOffset, blocks)
    }
    try file.sync()
    try cancellation.check()
    beforeCommit()
    if let pending { try pending.appear() }
    overwritten?.isImage = true
    return image
  }

  private static func check(
    _ file: ImageFile, _ streamOffset: FileOffset, _ blocks: [String: ByteCount]?
  ) throws(ImageError) -> Image {
    let image = try Image(file, streamOffset: streamOffset)
    if let problem = image.problems.first { throw .format(problem, in: file.path) }
    try file.cancellation.check()
    guard let blocks else { return image }
    let found = Dictionary(
      image.blocks.map { ($0.idstr, $0.usedLength) }, uniquingKeysWith: { $1 })
    for idstr in Set(found.keys).union(blocks.keys).sorted()
    where found[idstr] != blocks[idstr] {
      throw .save(
        .blockDiffers(
          file.path, idstr: idstr, found: found[idstr]?.rawValue,
          expected: blocks[idstr]?.rawValue))
    }
    return image
  }
}

/// A file that is written where it stays, and of which, unless it becomes an image, the part goes in which one was begun.
struct OverwrittenFile: ~Copyable, Sendable {
  let file: ImageFile
  let streamOffset: FileOffset
  var isImage = false

  deinit {
    guard !isImage else { return }
    // That this fails too says less than why it came to it, or nobody is there to be told.
    try? file.truncate(to: streamOffset)
    try? file.sync()
  }
}
