import BasicContainers
import LinuxIO
import MappedRAMFormat
public import SystemPackage

/// Takes an image apart into a directory: a raw file for each RAMBlock, the device state, and a manifest.
public struct DirectoryRestore: Sendable {
  /// The restore of the image's RAM.
  public var restore: ImageRestore
  /// Where the files go.
  public var directory: FilePath
  /// The blocks that are wanted; `nil` for all, and the device state and the manifest as well.
  public var selection: [String]?

  /// A restore of `restore` into `directory`, which is made if it is not there.
  public init(_ restore: ImageRestore, to directory: FilePath, selection: [String]? = nil) {
    self.restore = restore
    self.directory = directory
    self.selection = selection
  }

  /// What was restored.
  public struct Outcome: Sendable {
    /// The image's structures.
    public var image: Image
    /// The files that are there now, by name, in the order in which they appeared.
    public var files: [String]
    /// Bytes before the stream that were too many to be kept; else 0.
    public var droppedPrefixBytes: UInt64
    /// What it took.
    public var report: TransferReport
  }

  /// Restores.
  ///
  /// Each file appears under its name complete and durable, the manifest last, and none before all are complete. Files that
  /// have the names are replaced. If this throws before, nothing is there that was not before.
  ///
  /// - Throws: `ImageError`; `.plan(.unknownBlock)` where a selected block is not in the image.
  public func run(
    progress: Progress = Progress(), cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> Outcome {
    let isNew = try calling { () throws(SystemCallError) in try Directory.make(directory) }
    do throws(ImageError) {
      return try fill(progress, cancellation)
    } catch {
      // Only an empty directory can be removed, so nothing of value goes.
      if isNew { Directory.removeIfEmpty(directory) }
      throw error
    }
  }

  private func fill(
    _ progress: Progress, _ cancellation: Cancellation
  ) throws(ImageError) -> Outcome {
    var output = DirectoryOutput(directory, directIO: restore.options.directIO)
    let outcome = try restore.run(progress: progress, cancellation: cancellation) {
      (block) throws(ImageError) in
      guard selection?.contains(block.block.idstr) ?? true else { return nil }
      return try output.addBlock(block.block)
    }
    if let selection {
      let known = outcome.image.blocks.map(\.block.idstr)
      for idstr in selection where !known.contains(idstr) {
        throw .plan(.unknownBlock(idstr, known: known))
      }
    }
    let dropped = try selection == nil ? addRest(outcome, &output, cancellation) : 0
    try cancellation.check()
    let files = try output.commit()
    return Outcome(
      image: outcome.image, files: files, droppedPrefixBytes: dropped, report: outcome.report)
  }

  /// Adds all that is not RAM. Returns how many bytes before the stream are not kept.
  private func addRest(
    _ outcome: ImageRestore.Outcome, _ output: inout DirectoryOutput, _ cancellation: Cancellation
  ) throws(ImageError) -> UInt64 {
    let image = outcome.image
    guard let prologue = image.prologue, let tail = image.tail else {
      preconditionFailure("a complete image")
    }
    let file = restore.file
    let prefix = try readPrefix(of: image)
    if let prefix, !prefix.isEmpty {
      try output.add(DirectoryManifest.prefixFileName, bytes: prefix)
    }
    if !prologue.preamble.isEmpty {
      try output.add(DirectoryManifest.preambleFileName, bytes: prologue.preamble)
    }
    try output.add(DirectoryManifest.vmstateFileName) { (target) throws(ImageError) in
      try RangeCopy(
        from: file, tail.lowerBound.rawValue..<tail.upperBound.rawValue, to: target, at: 0
      ).run(cancellation)
    }
    let manifest = DirectoryManifest(
      image, prologue: prologue, files: output.blockFiles, presentZeros: outcome.presentZeros,
      hasPrefix: prefix?.isEmpty == false)
    try output.add(DirectoryManifest.fileName, bytes: manifest.encoded())
    return prefix == nil ? image.streamOffset.rawValue : 0
  }

  /// What stands before the stream: empty where that is only zeros, `nil` where it is too much to be kept.
  private func readPrefix(of image: Image) throws(ImageError) -> [UInt8]? {
    let count = image.streamOffset.rawValue
    let limit = ImageLimits.libvirtDataBytes.rawValue + UInt64(LibvirtHeader.byteCount)
    guard count <= limit else { return nil }
    let bytes = try calling { () throws(SystemCallError) in
      try restore.file.readBytes(at: 0, count: Int(count))
    }
    return bytes.contains { $0 != 0 } ? bytes : []
  }
}
