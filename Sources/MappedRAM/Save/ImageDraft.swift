import LinuxIO
import MappedRAMFormat
import SystemPackage

/// An image under construction: begun, filled by the channels with pages, given its structures, read back, and only then an image.
///
/// A new file gets its name once it is complete. One that is written where it stays, as a device is, gets the stream's first eight
/// bytes then. Dropped before, it holds no image.
struct ImageDraft: ~Copyable {
  let file: ImageFile
  /// What is to be in it.
  private(set) var plan: SavePlan
  /// `nil` for a file that is written where it stays.
  private var pending: PendingFile?
  /// An image whose slots are in the file already, in blocks that both share.
  private(set) var base: BaseImage?
  /// Why it is none, where one was wanted.
  private(set) var baseObstacle: BaseObstacle?

  /// What only the channels know of what they have written.
  struct Contents {
    /// For each block, which pages it has now; `nil` for a block that is left out.
    var bitmaps: [PageBitmap?]
    /// Where the devices' states are.
    var area: DeviceArea?
    /// What is known of each block's chunks; `nil` where there are to be no checksums.
    var sums: [BlockSums?]?
    /// Whether slots of absent pages hold zeros that were written, as short gaps are where holes need not be kept.
    var fillsGaps = false
  }

  private init(
    file: ImageFile, plan: SavePlan, pending: consuming PendingFile?, base: BaseImage? = nil,
    baseObstacle: BaseObstacle? = nil
  ) {
    self.file = file
    self.plan = plan
    self.pending = pending
    self.base = base
    self.baseObstacle = baseObstacle
  }

  /// Begins the image of `plan` at `path`: in a new file, or in what is there, if that is a block device or is to be written in place.
  ///
  /// - Parameter base: an image whose slots are to be in the file already, where that can be.
  /// - Throws: `TargetError.notAnImage` where something else than an image is there and may not be replaced; `.anotherVM` where it is
  ///   known not to be of the plan's VM; `.usedByQEMU`. Nothing has been changed then.
  static func begin(
    _ plan: SavePlan, at path: FilePath, inPlace: Bool, replacing: Replacing,
    base: BaseImage? = nil, directIO: DirectIOPolicy, cancellation: Cancellation
  ) throws(ImageError) -> ImageDraft {
    let streamOffset = plan.layout.streamOffset
    if inPlace || File.isBlockDevice(path) {
      var draft = try begin(
        plan,
        in: openInPlace(
          path, streamOffset: streamOffset, replacing: replacing, vm: plan.vm, directIO: directIO,
          cancellation: cancellation))
      draft.baseObstacle = base.map { _ in .inPlace }
      return draft
    }
    try TargetContents.checkReplaced(path, streamOffset: streamOffset, replacing, plan.vm)
    let new = try PendingFile.begin(at: path, directIO: directIO)
    let file = ImageFile(new.file, cancellation: cancellation)
    var obstacle = base.flatMap { $0.obstacle(for: plan) }
    if let base, obstacle == nil {
      let isShared = try calling { () throws(SystemCallError) in
        try file.file.clone(base.file.file, copyOnWriteBytes: UInt32(SumsArea.chunkBytes))
      }
      if isShared {
        // Behind the slots nothing of it is kept.
        try file.truncate(to: plan.layout.listEnd)
      } else {
        obstacle = .fileSystem
      }
    }
    try file.truncate(to: plan.end)
    return ImageDraft(
      file: file, plan: plan, pending: new, base: obstacle == nil ? base : nil,
      baseObstacle: obstacle)
  }

  /// Begins the image of `plan` in `file`, where it stays: what image was there is unreadable from now on.
  static func begin(_ plan: SavePlan, in file: ImageFile) throws(ImageError) -> ImageDraft {
    let plan = try plan.fitting(file.kind)
    switch file.kind {
    case .regular:
      // Every slot is a hole then.
      try file.truncate(to: plan.layout.streamOffset)
      try file.truncate(to: plan.end)
    case .blockDevice: try checkSize(of: file, for: plan)
    }
    let draft = ImageDraft(file: file, plan: plan, pending: nil)
    try draft.clearStreamHeader()
    try file.sync()
    return draft
  }

  /// Opens what is to be written where it is, for this writer alone (`ImageFile.init(changing:)`), and looks at what is in it.
  static func openInPlace(
    _ path: FilePath, streamOffset: FileOffset, replacing: Replacing, vm: VMIdentity,
    directIO: DirectIOPolicy, cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> ImageFile {
    let file = try ImageFile(changing: path, directIO: directIO, cancellation: cancellation)
    try TargetContents.checkOverwritten(file, streamOffset: streamOffset, replacing, vm)
    return file
  }

  /// Takes `plan` in place of the one that was begun with: it has the same slots, and the rest of the stream is known by now.
  ///
  /// - Throws: `SaveError.slotsDiffer`.
  mutating func complete(_ plan: SavePlan) throws(ImageError) {
    guard plan.layout.blocks == self.plan.layout.blocks else {
      throw .save(.slotsDiffer(file.path))
    }
    self.plan = try plan.fitting(file.kind)
    try resize()
  }

  /// A file for what is too much to be kept in memory: without a name, beside an image that is new. Where the image is written in place,
  /// nothing may be allowed beside it, so there it is in memory.
  func makeScratch() throws(ImageError) -> ImageFile {
    guard pending != nil else { return try ImageFile(inMemory: "sums", byteCount: .zero) }
    // It goes with the value, or with this process; the descriptor stays.
    return ImageFile(try PendingFile.begin(at: file.path, directIO: .off).file)
  }

  /// Makes the file fit the plan, whose slots are where they were.
  private func resize() throws(ImageError) {
    switch file.kind {
    case .regular: try file.truncate(to: plan.end)
    case .blockDevice: try Self.checkSize(of: file, for: plan)
    }
  }

  private static func checkSize(of file: ImageFile, for plan: SavePlan) throws(ImageError) {
    let end = try file.end()
    guard end >= plan.end else {
      throw .target(
        .tooSmall(file.path, found: end.rawValue, needed: plan.end.rawValue))
    }
  }

  /// Writes everything but the pages, reads it back as any reader would, makes all of it durable, and makes an image of it.
  ///
  /// - Parameter beforeCommit: called once all but the name, or the header, is there.
  /// - Returns: where the image ends.
  consuming func commit(
    _ contents: Contents, beforeCommit: () -> Void
  ) throws(ImageError) -> FileOffset {
    if contents.fillsGaps, file.kind == .regular, let stating = try plan.statingZeroSlots() {
      plan = stating
      try resize()
    }
    try writeStructures(contents)
    let end = try writeAreas(contents)
    if pending != nil {
      try writeStreamHeader()
      try verify()
    } else {
      try verify(overlay: streamHeader)
    }
    try file.cancellation.check()
    try file.sync()
    beforeCommit()
    if let pending = pending.take() {
      try pending.appear()
      return end
    }
    do throws(ImageError) {
      try writeStreamHeader()
      try file.sync()
      return end
    } catch {
      // Whether the header is on the disk is not known. That this fails too says less than why it came to it.
      try? clearStreamHeader()
      try? file.sync()
      throw error
    }
  }

  /// Reads headers, bitmaps and sections.
  ///
  /// - Parameter overlay: bytes that are not in the file yet.
  private func verify(overlay: ByteOutput? = nil) throws(ImageError) {
    let image = try Image(file, streamOffset: plan.layout.streamOffset, overlay: overlay)
    if let problem = image.problems.first {
      throw .save(.unreadable(file.path, problem))
    }
    precondition(
      (image.deviceArea?.devices.map(\.identity) ?? [])
        == plan.devices.filter { !$0.isSection }.map(\.identity),
      "the reader's devices are the writer's")
    precondition(
      image.blocks.map(\.layout) == plan.layout.blocks, "the reader's layout is the writer's")
  }
}
