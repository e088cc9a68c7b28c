public import LinuxIO
public import MappedRAMFormat
public import SystemPackage

extension SavePlan {
  /// The plan of the image that the manifest of `directory` describes, which `DirectoryRestore` made, or somebody else.
  ///
  /// - Parameter slots: where the slots of each block are to begin; `nil` where the manifest says.
  /// - Throws: `ImageError`: where a file cannot be read, the manifest is not right, a file is missing or has the wrong size, or the
  ///   device state is not what follows the manifest's blocks.
  public static func ofDirectory(
    _ directory: FilePath, slots: SlotLayout? = nil, directIO: DirectIOPolicy = .auto
  ) throws(ImageError) -> SavePlan {
    let manifest = try DirectoryManifest(readingFrom: directory)
    let files = Files(directory: directory)
    let path = files.manifest
    try manifest.check(at: path)
    var blocks: [SavePlan.Block] = []
    for entry in manifest.blocks {
      let block = try entry.ramBlock(at: path)
      let pages = try entry.file.map { (name) throws(ImageError) in
        let file = try files.open(name, directIO: directIO)
        return try FilePages(reading: ImageFile(file))
      }
      blocks.append(
        SavePlan.Block(
          block, pages: pages, presentZeros: try entry.presentZeros(of: block, at: path)))
    }
    let prologue = StreamPrologue(
      configuration: try manifest.streamConfiguration(at: path),
      preamble: try manifest.preambleFile.map { (name) throws(ImageError) in
        try ImageFile(files.open(name)).readAll(limit: ImageLimits.preambleBytes)
      } ?? [], ramSectionID: manifest.ramSectionID, hasFooters: manifest.hasFooters ?? true)
    let prefix = try manifest.prefixFile.map { (name) throws(ImageError) in
      try whole(files.open(name))
    }
    let vmstate = try files.open(manifest.vmstateFile)
    try checkState(vmstate, behind: prologue, blocks[0].pageSize, in: path)
    let devices = try (manifest.devices ?? []).map { (device) throws(ImageError) in
      try device.save(from: try files.open(device.file))
    }
    let facts = try manifest.factsFile.map { (name) throws(ImageError) in
      let file = try files.open(name)
      let bytes = try ImageFile(file).readAll(limit: ImageLimits.factsBytes)
      do throws(FormatError) {
        return try ImageFacts(parsing: bytes)
      } catch {
        throw ImageError.format(error, in: file.path)
      }
    }
    let ownSlots = try manifest.slots(at: path)
    var plan = try SavePlan(
      prologue: prologue, blocks: blocks, tail: [try whole(vmstate)], prefix: prefix,
      streamOffset: FileOffset(manifest.streamOffset), slots: slots ?? ownSlots,
      keepsHoles: true, for: path
    ).with(devices: devices).with(facts: facts)
    plan.hasChecksums = manifest.hasChecksums ?? false
    return plan
  }

  /// The files of a manifest.
  private struct Files {
    let directory: FilePath
    var manifest: FilePath { directory.appending(DirectoryManifest.fileName) }

    /// Opens a file that the manifest names.
    ///
    /// - Throws: `ManifestProblem.missingFile`; as `File.open`.
    func open(_ name: String, directIO: DirectIOPolicy = .off) throws(ImageError) -> File {
      do throws(SystemCallError) {
        return try File.open(directory.appending(name), access: .read, directIO: directIO)
      } catch {
        if [.noSuchFileOrDirectory, .fileNameTooLong].contains(error.errno) {
          throw .plan(.manifest(manifest, .missingFile(name)))
        }
        throw .system(error)
      }
    }
  }

  /// All of a file.
  private static func whole(_ file: File) throws(ImageError) -> StreamBytes {
    .file(file, .zero..<(try ImageFile(file).end()))
  }

  /// Makes sure that `vmstate` goes on where `prologue` and the blocks end, while nothing has been written.
  ///
  /// - Throws: `ManifestProblem.ramSectionID`, or one about `hasFooters`, where the state is right with another of these; else what is
  ///   wrong with the state.
  private static func checkState(
    _ vmstate: File, behind prologue: StreamPrologue, _ pageSize: PageSize, in manifest: FilePath
  ) throws(ImageError) {
    func failure(id: UInt32, hasFooters: Bool) -> ImageError? {
      do throws(ImageError) {
        let stream = try DeviceStateStream(
          reading: vmstate, pageSize: pageSize, ramSectionID: id, hasFooters: hasFooters)
        return stream.tailProblem.map { .format($0, in: vmstate.path) }
      } catch {
        return error
      }
    }
    let (id, hasFooters) = (prologue.ramSectionID, prologue.hasFooters)
    guard let error = failure(id: id, hasFooters: hasFooters) else { return }
    guard case .format(let problem, _) = error else { throw error }
    if case .unknownSectionID(let other) = problem.kind,
      failure(id: other, hasFooters: hasFooters) == nil
    {
      throw .plan(.manifest(manifest, .ramSectionID(found: id, expected: other)))
    }
    if failure(id: id, hasFooters: !hasFooters) == nil {
      throw .plan(.manifest(manifest, .badValue(key: "hasFooters", found: "\(hasFooters)")))
    }
    throw error
  }
}
