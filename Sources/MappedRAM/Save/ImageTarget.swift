import LinuxIO
import MappedRAMFormat
import SystemPackage

/// The file that an image is written into, and the way in which it becomes one.
///
/// A new file gets its name once it is complete. One that is written where it stays gets the stream's first eight bytes then.
/// Dropped before the commit, it holds no image.
struct ImageTarget: ~Copyable {
  let file: File
  /// `nil` for a file that is written where it stays.
  private var pending: PendingFile?

  /// The target at `path`: a new file, or what is there, if that is a block device or is to be written in place.
  ///
  /// - Throws: `PlanError.notAnImage` where something else than an image is there and may not be replaced; `.anotherVM` where it is
  ///   known not to be of `vm`.
  init(
    at path: FilePath, inPlace: Bool, streamOffset: FileOffset, replacing: Replacing,
    vm: VMIdentity, directIO: DirectIOPolicy
  ) throws(ImageError) {
    if inPlace || File.isBlockDevice(path) {
      file = try Self.openInPlace(
        path, streamOffset: streamOffset, replacing: replacing, vm: vm, directIO: directIO)
      pending = nil
      return
    }
    try TargetContents.checkReplaced(path, streamOffset: streamOffset, replacing, vm)
    let new = try calling { () throws(SystemCallError) in
      try PendingFile.create(at: path, directIO: directIO)
    }
    file = new.file
    pending = consume new
  }

  /// Opens what is to be written where it is, for this writer alone, and looks at what is in it.
  ///
  /// Nobody else who asks can have it as long as it is open: a device is opened exclusively, which the kernel refuses for one that
  /// is mounted; the file is locked (flock(2)) against other saves and against VMs that run on it; and it must not have the locks
  /// of a QEMU that has it as a disk.
  static func openInPlace(
    _ path: FilePath, streamOffset: FileOffset, replacing: Replacing, vm: VMIdentity,
    directIO: DirectIOPolicy
  ) throws(ImageError) -> File {
    let file = try calling { () throws(SystemCallError) in
      try File.open(path, access: .readWrite, directIO: directIO, isExclusive: true)
    }
    try calling { () throws(SystemCallError) in try file.lock(.exclusive) }
    if try calling({ () throws(SystemCallError) in try file.isLockedByQEMU() }) {
      throw .plan(.usedByQEMU(path))
    }
    try TargetContents.checkOverwritten(file, streamOffset: streamOffset, replacing, vm)
    return file
  }

  /// `file`, written where it stays.
  init(_ file: File) {
    self.file = file
    pending = nil
  }

  /// Makes room for `plan`, with every slot a hole unless it is a device, and what image was there unreadable.
  func prepare(for plan: SavePlan) throws(ImageError) {
    guard pending == nil else { return try truncate(to: plan.end) }
    switch file.kind {
    case .regular:
      try truncate(to: plan.layout.streamOffset)
      try truncate(to: plan.end)
    case .blockDevice: try checkSize(for: plan)
    }
    try ImageWriter(plan, to: file, cancellation: Cancellation()).clearStreamHeader()
    try calling { () throws(SystemCallError) in try file.syncData() }
  }

  /// Makes the file fit `plan`, which has the same slots as the plan it was prepared for.
  func resize(for plan: SavePlan) throws(ImageError) {
    switch file.kind {
    case .regular: try truncate(to: plan.end)
    case .blockDevice: try checkSize(for: plan)
    }
  }

  private func truncate(to end: FileOffset) throws(ImageError) {
    try calling { () throws(SystemCallError) in try file.truncate(to: end.rawValue) }
  }

  private func checkSize(for plan: SavePlan) throws(ImageError) {
    let size = try calling { () throws(SystemCallError) in try file.size() }
    guard size >= plan.end.rawValue else {
      throw .plan(.targetTooSmall(file.path, found: size, needed: plan.end.rawValue))
    }
  }

  /// Writes everything but the pages, makes all of it durable, and makes an image of it.
  ///
  /// What a description that was handed in says of slots that hold zeros is withdrawn on a device, where they hold what was there
  /// before.
  consuming func commit(
    _ plan: SavePlan, _ contents: ImageWriter.Contents, _ cancellation: Cancellation,
    beforeCommit: ImageSave.Hook
  ) throws(ImageError) {
    let file = file
    let plan = file.kind == .blockDevice ? try plan.withdrawingZeroSlots() : plan
    let writer = ImageWriter(plan, to: file, cancellation: cancellation)
    try writer.writeStructures(contents)
    guard let pending = pending.take() else {
      return try Self.commitInPlace(writer, plan, file, cancellation, beforeCommit)
    }
    try writer.writeStreamHeader()
    try Self.verify(file, plan, cancellation)
    try cancellation.check()
    try calling { () throws(SystemCallError) in try file.syncData() }
    try beforeCommit()
    do throws(SystemCallError) {
      try pending.commit()
    } catch {
      throw .system(error)
    }
  }

  private static func commitInPlace(
    _ writer: borrowing ImageWriter, _ plan: SavePlan, _ file: File, _ cancellation: Cancellation,
    _ beforeCommit: ImageSave.Hook
  ) throws(ImageError) {
    try verify(file, plan, cancellation, overlay: writer.streamHeader)
    try cancellation.check()
    try calling { () throws(SystemCallError) in try file.syncData() }
    try beforeCommit()
    do throws(ImageError) {
      try writer.writeStreamHeader()
      try calling { () throws(SystemCallError) in try file.syncData() }
    } catch {
      // Whether the header is on the disk is not known. That this fails too says less than why it came to it.
      try? writer.clearStreamHeader()
      try? file.syncData()
      throw error
    }
  }

  /// Reads what was written as any reader would: headers, bitmaps and sections.
  ///
  /// - Parameter overlay: bytes that are not in the file yet.
  private static func verify(
    _ file: File, _ plan: SavePlan, _ cancellation: Cancellation, overlay: ByteOutput? = nil
  ) throws(ImageError) {
    let image = try Image(
      reading: file, streamOffset: plan.layout.streamOffset, cancellation: cancellation,
      overlay: overlay)
    if let problem = image.problems.first {
      throw .plan(.writtenImage(file.path, problem))
    }
    precondition(
      (image.deviceArea?.devices.map(\.identity) ?? [])
        == plan.devices.filter { !$0.isSection }.map(\.identity),
      "the reader's devices are the writer's")
    precondition(
      image.blocks.map(\.layout) == plan.layout.blocks, "the reader's layout is the writer's")
  }
}
