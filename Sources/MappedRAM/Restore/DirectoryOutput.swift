import LinuxIO
import MappedRAMFormat
import SystemPackage

/// The files of a restore, until all are complete: then they get their names, in the order in which they were added.
struct DirectoryOutput: ~Copyable {
  private let directory: FilePath
  private let directIO: DirectIOPolicy
  private let cancellation: Cancellation
  private var names: [String] = []
  private var pending: [PendingBox] = []
  /// The files of the blocks, by idstr.
  private(set) var blockFiles: [String: String] = [:]

  /// The files of devices' states.
  private(set) var deviceFiles: [DeviceIdentity: String] = [:]

  /// The names that may be there already; `nil` for any.
  private let replaceable: Set<String>?

  /// An output into `directory`. What an earlier restore has made there, as its manifest says, is replaced.
  init(
    _ directory: FilePath, replacing: Replacing, directIO: DirectIOPolicy,
    _ cancellation: Cancellation
  ) {
    self.directory = directory
    self.directIO = directIO
    self.cancellation = cancellation
    switch replacing {
    case .anything: replaceable = nil
    case .images:
      // One that cannot be read says nothing.
      replaceable = Set((try? DirectoryManifest(readingFrom: directory))?.fileNames ?? [])
    }
  }

  /// Adds the file of a block, all holes for now; `nil` for a block without contents.
  mutating func addBlock(_ block: RAMBlock) throws(ImageError) -> FilePages? {
    guard !block.isIgnored else { return nil }
    let name = FileName.ofBlock(block.idstr, index: blockFiles.count)
    let file = try create(name, directIO)
    blockFiles[block.idstr] = name
    try file.truncate(to: .zero + block.usedLength)
    return FilePages(
      writing: file.file, byteCount: block.usedLength.rawValue, startsZero: true)
  }

  /// Adds the file of a device's state.
  mutating func addDevice(_ device: DeviceIdentity) throws(ImageError) -> BufferedFileTarget {
    // A device "a" with the instance 1 and one "a-1" would have the same name.
    var name = FileName.ofDevice(device, index: deviceFiles.count)
    if deviceFiles.values.contains(name) { name = "device-~\(deviceFiles.count).bin" }
    deviceFiles[device] = name
    return BufferedFileTarget(file: try create(name, .off).file)
  }

  /// Adds a file of these bytes.
  mutating func add(_ name: String, bytes: [UInt8]) throws(ImageError) {
    let file = try create(name, .off)
    try file.write(bytes, at: .zero)
  }

  /// Adds a file that `fill` fills.
  mutating func add(
    _ name: String, fill: (ImageFile) throws(ImageError) -> Void
  ) throws(ImageError) {
    try fill(try create(name, .off))
  }

  private mutating func create(
    _ name: String, _ directIO: DirectIOPolicy
  ) throws(ImageError) -> ImageFile {
    if let replaceable, !replaceable.contains(name) {
      try TargetContents.checkIsFree(directory.appending(name))
    }
    let file = try PendingFile.begin(at: directory.appending(name), directIO: directIO)
    names.append(name)
    let opened = ImageFile(file.file, cancellation: cancellation)
    pending.append(PendingBox(file))
    return opened
  }

  /// Gives all files their names, once all are on the disk: a disk that is full shows itself before the first name.
  ///
  /// - Returns: the names.
  consuming func commit() throws(ImageError) -> [String] {
    for file in pending { try file.sync() }
    for file in pending { try file.commit() }
    return names
  }
}

/// A file that waits for its name. (An array cannot hold what cannot be copied.)
private final class PendingBox {
  private var file: PendingFile?

  init(_ file: consuming PendingFile) { self.file = .some(file) }

  func sync() throws(ImageError) {
    if let file = file?.file { try ImageFile(file).sync() }
  }

  func commit() throws(ImageError) {
    guard let file = file.take() else { preconditionFailure("a file gets its name once") }
    try file.appear()
  }
}
