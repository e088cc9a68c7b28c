import Glibc
import LinuxIO
import LinuxProcesses
import SystemPackage
import TestSupport
import Testing

@Suite struct PendingFileTests {
  let directory: TemporaryDirectory
  let path: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.file("vm.img")
  }

  static let namings = [PendingFile.Naming.unnamedIfPossible, .hiddenName]

  private func create(_ naming: PendingFile.Naming) throws -> PendingFile {
    try PendingFile.create(at: path, naming: naming)
  }

  @Test(arguments: namings)
  func appearsWholeWithTheCommitAndNotBefore(naming: PendingFile.Naming) throws {
    let pending = try create(naming)
    let file = pending.file
    try file.write([1, 2, 3], at: 0)
    #expect(try !names(in: directory.path).contains("vm.img"))
    try pending.commit()
    #expect(try names(in: directory.path) == ["vm.img"])
    #expect(try contents(path) == [1, 2, 3])
    // The reference still works, on the same file.
    try file.write([4], at: 3)
    #expect(try contents(path) == [1, 2, 3, 4])
  }

  @Test func anUnnamedFileIsInNoDirectory() throws {
    let pending = try create(.unnamedIfPossible)
    try pending.file.write([1], at: 0)
    #expect(try names(in: directory.path) == [])
    try pending.commit()
  }

  @Test func aHiddenNameIsRecognizable() throws {
    let pending = try create(.hiddenName)
    let found = try names(in: directory.path)
    #expect(found.count == 1)
    #expect(found.first?.wholeMatch(of: /\.vm\.img\.[a-z0-9]{6}\.partial/) != nil)
    try pending.commit()
  }

  @Test(arguments: namings)
  func droppedLeavesNothing(naming: PendingFile.Naming) throws {
    do {
      let pending = try create(naming)
      try pending.file.write([1, 2, 3], at: 0)
    }
    #expect(try names(in: directory.path) == [])
  }

  @Test(arguments: namings)
  func droppedLeavesTheOldFile(naming: PendingFile.Naming) throws {
    try makeFile(path, [9, 9])
    do {
      let pending = try create(naming)
      try pending.file.write([1, 2, 3], at: 0)
    }
    #expect(try names(in: directory.path) == ["vm.img"])
    #expect(try contents(path) == [9, 9])
  }

  /// Who has the old file open, or another name of it, keeps the old bytes.
  @Test(arguments: namings)
  func replacesTheOldFileWithoutTouchingIt(naming: PendingFile.Naming) throws {
    try makeFile(path, [9, 9, 9, 9])
    try Subprocess.succeed(["chmod", "644", path.string])
    try Subprocess.succeed(["ln", path.string, directory.file("other").string])
    let old = try File.open(path, access: .read)
    let pending = try create(naming)
    try pending.file.write([1, 2], at: 0)
    try pending.commit()
    #expect(try contents(path) == [1, 2])
    #expect(try old.readBytes(at: 0, count: 5) == [9, 9, 9, 9])
    #expect(try contents(directory.file("other")) == [9, 9, 9, 9])
    #expect(try names(in: directory.path) == ["other", "vm.img"])
    #expect(try status(path).st_mode & 0o7777 == 0o600)
  }

  /// A file for another user, which is his from its first moment with something in it, and never by a link.
  @Test(.enabled(if: Unprivileged.isAvailable, "needs root"))
  func emptyFilesForOthers() throws {
    let nobody = FileOwner(userID: Unprivileged.nobody, groupID: Unprivileged.nobody)
    #expect(nobody.isReachable)
    try File.makeEmpty(at: path, owner: nobody)
    let found = try status(path)
    #expect(found.st_uid == nobody.userID && found.st_gid == nobody.groupID)
    #expect(found.st_mode & 0o7777 == 0o600 && found.st_size == 0)
    let (link, elsewhere) = (directory.file("link"), directory.file("elsewhere"))
    try Subprocess.succeed(["ln", "-s", elsewhere.string, link.string])
    for taken in [path, link] {
      #expect(throws: SystemCallError(call: .open, errno: .fileExists, subject: .file(taken))) {
        try File.makeEmpty(at: taken, owner: nobody)
      }
    }
    #expect(InodeType(at: elsewhere) == nil)
    // Others' files lose what others may do with them, unless they have another name.
    let (file, twice) = (directory.file("file"), directory.file("twice"))
    for name in [file, twice] {
      try makeFile(name, [1])
      try Subprocess.succeed(["chmod", "644", name.string])
    }
    try Subprocess.succeed(["ln", twice.string, directory.file("second").string])
    let other = directory.file("other")
    try Subprocess.succeed(["ln", "-s", file.string, other.string])
    File.narrow(other)
    #expect(try status(file).st_mode & 0o7777 == 0o644)
    for name in [file, twice] { File.narrow(name) }
    #expect(try status(file).st_mode & 0o7777 == 0o600)
    #expect(try status(twice).st_mode & 0o7777 == 0o644)
  }

  @Test func theUserOfAProcess() throws {
    #expect(
      ProcessOwner.user(of: getpid())
        == FileOwner(userID: geteuid(), groupID: getegid()))
    #expect(ProcessOwner.user(of: 0x3F_FFFF) == nil)
  }

  /// The mode of the directory, whether it and the link are a stranger's, and whether the link is followed.
  @Test(
    .enabled(if: Unprivileged.isAvailable, "needs root"),
    arguments: [
      ("1777", false, true, false), ("1777", false, false, true), ("1777", true, true, true),
      ("0777", false, true, true), ("1755", false, true, true), ("1777", true, false, true),
    ])
  func linksOfStrangers(
    mode: String, isDirectoryTheirs: Bool, isLinkTheirs: Bool, isFollowed: Bool
  ) throws {
    let (shared, elsewhere) = (directory.file("shared"), directory.file("elsewhere"))
    try Subprocess.succeed(["mkdir", shared.string])
    try Subprocess.succeed(["chmod", mode, shared.string])
    let link = shared.appending("vm.img")
    try Subprocess.succeed(["ln", "-s", elsewhere.string, link.string])
    let nobody = "\(Unprivileged.nobody)"
    if isDirectoryTheirs { try Subprocess.succeed(["chown", nobody, shared.string]) }
    if isLinkTheirs { try Subprocess.succeed(["chown", "-h", nobody, link.string]) }
    // Also where a link of ours leads to it.
    let ours = directory.file("ours")
    try Subprocess.succeed(["ln", "-s", link.string, ours.string])
    for path in [link, ours] {
      do throws(SystemCallError) {
        let pending = try PendingFile.create(at: path)
        #expect(isFollowed)
        try pending.commit()
        #expect(InodeType(at: elsewhere) == .regular)
      } catch {
        #expect(!isFollowed && error == .foreignLink(link))
        #expect(InodeType(at: elsewhere) == nil)
      }
    }
  }

  @Test(arguments: namings)
  func aFileThatCameMeanwhileIsReplaced(naming: PendingFile.Naming) throws {
    let pending = try create(naming)
    try makeFile(path, [9])
    try pending.commit()
    #expect(try contents(path) == [])
  }

  @Test(arguments: namings)
  func aDirectoryThatCameMeanwhileIsAnErrorAndNothingIsLeft(naming: PendingFile.Naming) throws {
    let pending = try create(naming)
    try Subprocess.succeed(["mkdir", path.string])
    let expected = SystemCallError(call: .renameat, errno: .isDirectory, subject: .file(path))
    #expect(errorOfCommit(pending) == expected)
    #expect(try names(in: directory.path) == ["vm.img"])
    #expect(try names(in: path) == [])
  }

  private func errorOfCommit(_ pending: consuming PendingFile) -> SystemCallError? {
    do throws(SystemCallError) {
      try pending.commit()
      return nil
    } catch {
      return error
    }
  }

  @Test(arguments: namings)
  func theModeIsTheOwnersAlone(naming: PendingFile.Naming) throws {
    try create(naming).commit()
    #expect(try status(path).st_mode & 0o7777 == 0o600)
  }

  @Test(arguments: namings)
  func aLinkStaysAndItsTargetIsReplaced(naming: PendingFile.Naming) throws {
    try Subprocess.succeed(["mkdir", directory.file("sub").string])
    let target = directory.file("sub/real.img")
    try makeFile(target, [9])
    try Subprocess.succeed(["ln", "-s", "sub/hop", path.string])
    try Subprocess.succeed(["ln", "-s", target.string, directory.file("sub/hop").string])
    let pending = try create(naming)
    #expect(pending.finalPath == target)
    try pending.file.write([1], at: 0)
    try pending.commit()
    #expect(try contents(target) == [1])
    #expect(try names(in: directory.file("sub")) == ["hop", "real.img"])
    #expect(try status(path).st_mode & S_IFMT == S_IFLNK)
  }

  @Test func aLinkToNothingMakesItsTarget() throws {
    try Subprocess.succeed(["ln", "-s", "real.img", path.string])
    let pending = try create(.unnamedIfPossible)
    try pending.file.write([1], at: 0)
    try pending.commit()
    #expect(try contents(directory.file("real.img")) == [1])
    #expect(try names(in: directory.path) == ["real.img", "vm.img"])
  }

  @Test func aLinkToItselfIsAnError() throws {
    try Subprocess.succeed(["ln", "-s", "vm.img", path.string])
    let error = #expect(throws: SystemCallError.self) { _ = try create(.unnamedIfPossible) }
    #expect(
      error
        == SystemCallError(call: .open, errno: .tooManySymbolicLinkLevels, subject: .file(path)))
  }

  @Test(arguments: [
    (["mkdir"], InodeType.directory), (["mkfifo"], .fifo), (["ln", "-s", "/"], .directory),
    (["ln", "-s", "/dev/null"], .characterDevice),
  ])
  func whatIsNoRegularFileIsRefused(command: [String], type: InodeType) throws {
    try Subprocess.succeed(command + [path.string])
    #expect(throws: SystemCallError.unsuitable(path, found: type, expected: [.regular])) {
      _ = try create(.unnamedIfPossible)
    }
    #expect(try names(in: directory.path) == ["vm.img"])
  }

  @Test(arguments: ["/", ".", "..", "/tmp/.", "/tmp/.."])
  func aPathToADirectoryIsRefused(path: String) {
    let path = FilePath(path)
    #expect(throws: SystemCallError.unsuitable(path, found: .directory, expected: [.regular])) {
      _ = try PendingFile.create(at: path)
    }
  }

  @Test(arguments: ["", "none/vm.img"])
  func aMissingDirectoryIsAnError(name: String) throws {
    let path = name.isEmpty ? FilePath("") : directory.file(name)
    let error = #expect(throws: SystemCallError.self) { _ = try PendingFile.create(at: path) }
    #expect(error?.errno == .noSuchFileOrDirectory)
    #expect(error?.subject == .file(path))
  }

  /// The longest name has no room for what a hidden name adds, also where characters are long.
  @Test(arguments: [
    String(repeating: "x", count: 255), String(repeating: "x", count: 254),
    String(repeating: "ä", count: 127), "x", ".x",
  ])
  func everyNameHasAHiddenOne(name: String) throws {
    for naming in Self.namings {
      let pending = try PendingFile.create(at: directory.file(name), naming: naming)
      try pending.commit()
      // A second time, when the name is taken.
      try PendingFile.create(at: directory.file(name), naming: naming).commit()
      #expect(try names(in: directory.path).count == 1)
    }
  }

  @Test func aNameTooLongIsAnError() throws {
    let path = directory.file(String(repeating: "x", count: 256))
    #expect(throws: SystemCallError.self) { _ = try PendingFile.create(at: path) }
    #expect(try names(in: directory.path) == [])
  }

  @Test(arguments: namings)
  func refusedDirectIOLeavesNothing(naming: PendingFile.Naming) throws {
    #expect(throws: SystemCallError.directIORefused(path, .asked)) {
      _ = try PendingFile.create(
        at: path, directIO: .required, probe: .refuse, naming: naming)
    }
    #expect(try names(in: directory.path) == [])
  }

  @Test(arguments: namings)
  func bothDescriptorsWriteTheSameFile(naming: PendingFile.Naming) throws {
    let pending = try PendingFile.create(
      at: path, probe: .assume(memoryAlignment: 4096, offsetAlignment: 4096), naming: naming)
    try #require(
      pending.file.directIO == .active(memoryAlignment: 4096, offsetAlignment: 4096))
    let memory = try AlignedBuffer(byteCount: 4096)
    unsafe memory.bytes.initializeMemory(as: UInt8.self, repeating: 3)
    let address = unsafe UInt(bitPattern: memory.base)
    let direct = FileDescriptor(
      rawValue: pending.file.descriptor(offset: 4096, address: address, byteCount: 4096))
    #expect(direct.rawValue != pending.file.bufferedDescriptor)
    _ = try unsafe direct.writeAll(
      toAbsoluteOffset: 4096, UnsafeRawBufferPointer(memory.bytes))
    try pending.file.write([1, 2], at: 0)
    try pending.commit()
    let bytes = try contents(path)
    #expect(bytes.count == 8192)
    #expect(bytes.prefix(3) == [1, 2, 0])
    #expect(bytes.suffix(4096).allSatisfy { $0 == 3 })
  }
}
