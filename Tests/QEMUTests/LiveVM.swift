import SystemPackage
import TestSupport
import Testing

/// A VM that is to be saved, what it was before, and an empty directory for its image.
struct LiveVM {
  let qemu: QEMU
  let before: VMState
  /// Where the image is to appear.
  let directory: TemporaryDirectory
  private let files: TemporaryDirectory?
  private let fileSystem: SmallFileSystem?

  var image: FilePath { directory.file("vm.img") }

  /// A VM of `configuration`, whose guest runs.
  ///
  /// - Parameters:
  ///   - space: the bytes that there is room for where the image is to appear; `nil` for no such limit.
  ///   - files: what the VM uses.
  ///   - prepare: what is done to it before.
  init(
    _ configuration: QEMU.Configuration, space: Int? = nil, files: TemporaryDirectory? = nil,
    prepare: (QEMU) throws -> Void = { _ in }
  ) throws {
    directory = try TemporaryDirectory()
    let directory = directory
    fileSystem = try space.map { try SmallFileSystem(byteCount: $0, over: directory) }
    self.files = files
    qemu = try QEMU(configuration)
    try prepare(qemu)
    try qemu.waitForGuestLines(2)
    before = try qemu.state()
  }

  /// A VM whose save takes long enough to be disturbed.
  ///
  /// It has a pc-dimm over a file of `mebibytes` without a zero page, unusual migration settings and a disk.
  ///
  /// - Parameter isShared: whether the memory is shared files.
  static func slow(
    mebibytes: Int = 384, isShared: Bool = false, space: Int? = nil
  ) throws -> LiveVM {
    let files = try TemporaryDirectory()
    let (disk, contents) = (files.file("disk"), files.file("contents"))
    try QEMU.makeDisk(disk, mebibytes: 1)
    try Subprocess.succeed(["sh", "-c", "yes | head -c \(mebibytes)M > '\(contents)'"])
    let configuration = QEMU.Configuration.small.with {
      $0.addSlots()
      $0.arguments += [
        "-object",
        "memory-backend-file,id=dimm0,size=\(mebibytes)M,mem-path=\(contents),"
          + "share=\(isShared ? "on" : "off")",
        "-device", "pc-dimm,id=dimm0-device,memdev=dimm0",
      ]
      $0.addDisk(disk)
      if isShared { $0.setMemory(.file("main", isShared: true)) }
    }
    return try LiveVM(configuration, space: space, files: files) { qemu in
      try qemu.setCapability("multifd", true)
      try qemu.setCapability("auto-converge", true)
      try qemu.execute(
        "migrate-set-parameters", ["multifd-channels": 3, "max-bandwidth": 1000])
    }
  }

  /// The same VM, paused before it is saved.
  func paused() throws -> LiveVM {
    try qemu.stop()
    return LiveVM(self, before: try qemu.state())
  }

  private init(_ other: LiveVM, before: VMState) {
    (qemu, directory, self.before) = (other.qemu, other.directory, before)
    (files, fileSystem) = (other.files, other.fileSystem)
  }

  /// Fails unless all is as it was before the save.
  ///
  /// - Parameter says: whether QEMU may have said something, as it does when its own migration ends early.
  func expectAsBefore(
    leaving names: [String] = [], says: Bool = false, location: SourceLocation = #_sourceLocation
  ) throws {
    // Apart from the expectation, which prints its parts only where nothing in it throws.
    let now = try qemu.state()
    #expect(now == before, sourceLocation: location)
    #expect(try directory.names() == names, sourceLocation: location)
    if before.status == "running" { try qemu.expectGoesOn(location: location) }
    if !says { #expect(qemu.logBesidesACancellation == "", sourceLocation: location) }
  }
}

extension QEMU {
  /// What QEMU has said, but for what it may say when a background snapshot is cancelled, as one always is: that it was cut off in a write.
  var logBesidesACancellation: String {
    log.split(separator: "\n").filter {
      !$0.hasSuffix("failed to save SaveStateEntry with id(name): 1(ram): -5")
        && !$0.hasSuffix("failed to save SaveStateEntry with id(name): 2(ram): -5")
    }.joined(separator: "\n")
  }
}
