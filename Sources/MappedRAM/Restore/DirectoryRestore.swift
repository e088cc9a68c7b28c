import LinuxIO
public import MappedRAMFormat
public import SystemPackage

/// Takes an image apart into a directory: a raw file for each RAMBlock, the device state, and a manifest.
public struct DirectoryRestore: Sendable {
  /// The restore of the image's RAM.
  public var restore: ImageRestore
  /// Where the files go.
  public var directory: FilePath
  /// The blocks that are wanted; `nil` for all, and the device state and the manifest as well.
  public var selection: [String]?
  /// What may be replaced: what an earlier restore has made, as the manifest that is there says, or anything.
  public var replacing = Replacing.images
  /// Devices whose states go elsewhere, and not into the directory.
  public var devices: [DeviceIdentity: any DeviceStateTarget] = [:]

  /// Whether contents are compared with the image's sums before anything appears.
  public var verification = Verification.whereThereAreSums

  /// When contents are compared with sums.
  public enum Verification: Sendable {
    /// Where the image has them.
    case whereThereAreSums
    /// Always: an image without them is refused.
    case always
    /// Never: of a damaged image, too, all is taken that there is.
    case never
  }

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
  /// Each file appears under its name complete and durable, the manifest last, and none before all are complete. If this throws
  /// before, nothing is there that was not before.
  ///
  /// - Throws: `ImageError`; `.plan(.unknownBlock)` where a selected block is not in the image; `.target(.fileExists)` where a
  ///   file is there that may not be replaced.
  public func run(
    progress: TransferProgress = TransferProgress(), cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> Outcome {
    let isNew: Bool
    do throws(SystemCallError) {
      isNew = try Directory.make(directory)
    } catch {
      throw .system(error)
    }
    do throws(ImageError) {
      return try fill(progress, cancellation)
    } catch {
      // Only an empty directory can be removed, so nothing of value goes.
      if isNew { Directory.removeIfEmpty(directory) }
      throw error
    }
  }

  private func fill(
    _ progress: TransferProgress, _ cancellation: Cancellation
  ) throws(ImageError) -> Outcome {
    var output = DirectoryOutput(
      directory, replacing: replacing, directIO: restore.options.directIO, cancellation)
    let (selection, devices) = (selection, devices)
    var restore = restore
    restore.sums = try sums(progress, cancellation)
    let outcome = try restore.run(
      progress: progress, cancellation: cancellation,
      device: { (device) throws(ImageError) in
        if let target = devices[device.identity] { return target }
        return try selection == nil ? output.addDevice(device.identity) : nil
      },
      target: { (block) throws(ImageError) in
        guard selection?.contains(block.idstr) ?? true else { return nil }
        return try output.addBlock(block.block)
      })
    try outcome.image.checkHasDevices(devices.keys)
    if let selection {
      let known = outcome.image.blocks.map(\.idstr)
      for idstr in selection where !known.contains(idstr) {
        throw .plan(.unknownBlock(idstr, known: known))
      }
    }
    let dropped = try selection == nil ? addRest(outcome, &output) : 0
    try cancellation.check()
    let files = try output.commit()
    return Outcome(
      image: outcome.image, files: files, droppedPrefixBytes: dropped, report: outcome.report)
  }

  /// The sums that pages are compared with as they are read, once all else has been.
  private func sums(
    _ progress: TransferProgress, _ cancellation: Cancellation
  ) throws(ImageError) -> SumsArea? {
    if case .never = verification { return nil }
    let found = try restore.checkBesidesPages(of: nil, progress, cancellation)
    if case .whereThereAreSums = verification, !found.hasSums,
      found.damage.allSatisfy({ found.image.problems.map { .structure($0) }.contains($0) })
    {
      // What is wrong with it otherwise is the restore's to say.
      return nil
    }
    try found.checkContents()
    return found.sums
  }

  /// Adds all that is not RAM. Returns how many bytes before the stream are too many to be kept.
  private func addRest(
    _ outcome: ImageRestore.Outcome, _ output: inout DirectoryOutput
  ) throws(ImageError) -> UInt64 {
    let image = outcome.image
    guard let prologue = image.prologue, let tail = image.tail else {
      preconditionFailure("a complete image")
    }
    let prefix = FileOffset.zero..<image.streamOffset
    // What is not a hole.
    let hasPrefix = try ImageFile(restore.file).nextData(in: prefix) != nil
    let keepsPrefix = hasPrefix && prefix.byteCount <= Self.maximumPrefixBytes
    if keepsPrefix { try copy(prefix, to: DirectoryManifest.prefixFileName, &output) }
    if !prologue.preamble.isEmpty {
      try output.add(DirectoryManifest.preambleFileName, bytes: prologue.preamble)
    }
    try copy(tail, to: DirectoryManifest.vmstateFileName, &output)
    if let facts = image.facts {
      try output.add(DirectoryManifest.factsFileName, bytes: facts.text)
    }
    let manifest = DirectoryManifest(
      image, prologue: prologue, files: output.blockFiles, deviceFiles: output.deviceFiles,
      presentZeros: outcome.presentZeros,
      hasPrefix: keepsPrefix)
    try output.add(DirectoryManifest.fileName, bytes: manifest.encoded())
    return hasPrefix && !keepsPrefix ? prefix.byteCount.rawValue : 0
  }

  /// The longest prefix that is kept: libvirt's header and data area. More is not an image's, but of a file in which it lies.
  private static let maximumPrefixBytes =
    ImageLimits.libvirtDataBytes + ByteCount(LibvirtHeader.byteCount)

  private func copy(
    _ range: Range<FileOffset>, to name: String, _ output: inout DirectoryOutput
  ) throws(ImageError) {
    try output.add(name) { (target) throws(ImageError) in
      try target.truncate(to: .zero + range.byteCount)
      try target.copy(range, of: restore.file, to: .zero)
    }
  }
}
