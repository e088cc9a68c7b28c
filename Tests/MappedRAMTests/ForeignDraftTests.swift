import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// Images that somebody else writes into a file of ours.
@Suite struct ForeignDraftTests {
  let directory: TemporaryDirectory
  let path: FilePath
  let bytes: [UInt8]
  let blocks: [String: ByteCount]
  static let fixture = Result { try Fixture("microvm") }

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.file("saved")
    let fixture = try Self.fixture.get()
    let file = try File.open(fixture.unpack(into: directory), access: .read, directIO: .off)
    bytes = try file.readBytes(at: 0, count: Int(file.size()))
    blocks = Dictionary(
      uniqueKeysWithValues: try #require(fixture.expected.blocks)
        .map { ($0.idstr, ByteCount($0.usedLength)) })
    try Subprocess.succeed(["rm", file.path.string])
  }

  private func write(_ bytes: some Sequence<UInt8>, to save: borrowing ForeignDraft) throws {
    let descriptor = try save.file.openAgain(for: .writing, direct: false)
    try FileDescriptor(rawValue: descriptor.rawValue).writeAll(bytes)
  }

  /// The error with which a commit fails.
  private func failure(
    of save: consuming ForeignDraft, expecting blocks: [String: ByteCount]? = nil,
    cancellation: Cancellation = Cancellation()
  ) -> ImageError? {
    do throws(ImageError) {
      _ = try save.commit(expecting: blocks, cancellation: cancellation)
      return nil
    } catch {
      return error
    }
  }

  private func names() throws -> [String] {
    try Subprocess.succeed(["ls", "-A", directory.path.string]).text.split(separator: "\n")
      .map(String.init)
  }

  @Test(arguments: [true, false])
  func aGoodImageGetsItsName(_ isInPlace: Bool) throws {
    if isInPlace { try Subprocess.succeed(["truncate", "-s", "99M", path.string]) }
    let save = try ForeignDraft.begin(at: path, inPlace: isInPlace)
    try write(bytes, to: save)
    #expect(try names() == (isInPlace ? ["saved"] : []))
    var calls = 0
    let image = try save.commit(expecting: blocks) { calls += 1 }
    #expect(image.areas == .none)
    #expect(calls == 1 && image.isComplete)
    #expect(try sha256(path) == Self.fixture.get().expected.sha256)
    #expect(try names() == ["saved"])
  }

  /// The writer's descriptor cannot read, begins at 0, and does direct I/O where it was asked to.
  @Test func theWritersDescriptorWritesAlone() throws {
    let save = try ForeignDraft.begin(at: path)
    let isActive = if case .active = save.file.directIO { true } else { false }
    let plain = try save.file.openAgain(for: .writing, direct: false)
    try write(bytes, to: save)
    #expect(try FileDescriptor(rawValue: plain.rawValue).seek(offset: 0, from: .current) == 0)
    #expect(throws: Errno.badFileDescriptor) {
      var byte: [UInt8] = [0]
      // SAFETY: the buffer is used for the call only.
      _ = try unsafe byte.withUnsafeMutableBytes {
        try unsafe FileDescriptor(rawValue: plain.rawValue).read(into: $0)
      }
    }
    if isActive {
      let direct = try save.file.openAgain(for: .writing, direct: true)
      #expect(try openFlags(direct) != openFlags(plain))
    } else {
      #expect(throws: SystemCallError.self) {
        _ = try save.file.openAgain(for: .writing, direct: true).rawValue
      }
    }
  }

  /// The line of /proc/self/fdinfo with the flags (proc(5)).
  private func openFlags(_ descriptor: borrowing OwnedDescriptor) throws -> String {
    let info = try File.open(
      FilePath("/proc/self/fdinfo/\(descriptor.rawValue)"), access: .read, directIO: .off)
    let text = String(decoding: try info.readBytes(at: 0, count: 4096), as: UTF8.self)
    return String(try #require(text.split(separator: "\n").first { $0.hasPrefix("flags:") }))
  }

  @Test func theRunStateIsSet() throws {
    let save = try ForeignDraft.begin(at: path)
    try write(bytes, to: save)
    _ = try save.commit(runState: .running)
    let file = try File.open(path, access: .read)
    #expect(try Image(reading: file).runState(in: file) == .running)
    #expect(try sha256(path) != Self.fixture.get().expected.sha256)
  }

  /// What an interrupted writer leaves: nothing, a part of the RAM, all but the end.
  @Test(arguments: [0, 7, 1 << 20, -1, -50_000], [true, false])
  func anImageThatIsNotWholeIsNotKept(_ count: Int, _ isInPlace: Bool) throws {
    if isInPlace { try Subprocess.succeed(["truncate", "-s", "99M", path.string]) }
    let save = try ForeignDraft.begin(at: path, inPlace: isInPlace)
    let eof = Int(try #require(Self.fixture.get().expected.eofOffset))
    try write(bytes.prefix(count < 0 ? eof + 1 + count : count), to: save)
    let error = failure(of: save)
    let isFormat = if case .format? = error { true } else { false }
    #expect(isFormat, "\(String(describing: error))")
    #expect(try names() == (isInPlace ? ["saved"] : []))
    if isInPlace { #expect(try File.open(path, access: .read).size() == 0) }
  }

  /// A save that is given up before the commit leaves no image either, however much was written: not even its head.
  @Test(arguments: [true, false], [0, 4096] as [UInt64])
  func aSaveThatIsDroppedLeavesNoImage(_ isInPlace: Bool, _ streamOffset: UInt64) throws {
    if isInPlace { try Subprocess.succeed(["truncate", "-s", "99M", path.string]) }
    do {
      let save = try ForeignDraft.begin(
        at: path, inPlace: isInPlace, streamOffset: FileOffset(streamOffset))
      let descriptor = try save.file.openAgain(for: .writing, direct: false)
      try FileDescriptor(rawValue: descriptor.rawValue).writeAll(
        toAbsoluteOffset: Int64(streamOffset), bytes)
    }
    #expect(try names() == (isInPlace ? ["saved"] : []))
    if isInPlace { #expect(try File.open(path, access: .read).size() == streamOffset) }
  }

  /// Blocks are those of the VM: none more, none fewer, each with its size.
  @Test func otherBlocksAreNotKept() throws {
    let first = try #require(blocks.keys.sorted().first)
    let length = try #require(blocks[first]).rawValue
    var cases: [(expected: [String: ByteCount], error: (String, UInt64?, UInt64?))] = []
    var other = blocks
    other[first] = ByteCount(length + 4096)
    cases.append((other, (first, length, length + 4096)))
    other[first] = nil
    cases.append((other, (first, length, nil)))
    other = blocks
    other["zz"] = 4096
    cases.append((other, ("zz", nil, 4096)))
    for (expected, error) in cases {
      let save = try ForeignDraft.begin(at: path)
      try write(bytes, to: save)
      #expect(
        failure(of: save, expecting: expected)
          == .save(.blockDiffers(path, idstr: error.0, found: error.1, expected: error.2)))
      #expect(try names() == [])
    }
  }

  /// What is called before the commit is called once; the image has no name yet, unless it is written in place.
  @Test(arguments: [true, false])
  func theImageIsNotThereBeforeTheCommit(_ isInPlace: Bool) throws {
    if isInPlace { try Subprocess.succeed(["touch", path.string]) }
    let save = try ForeignDraft.begin(at: path, inPlace: isInPlace)
    try write(bytes, to: save)
    var found: [[String]] = []
    _ = try save.commit { found.append((try? names()) ?? ["?"]) }
    #expect(found == [isInPlace ? ["saved"] : []])
    #expect(try names() == ["saved"])
  }

  @Test func whatIsNoImageIsNotCommitted() throws {
    let save = try ForeignDraft.begin(at: path)
    try write(Array(bytes.prefix(100)), to: save)
    var calls = 0
    do {
      _ = try save.commit { calls += 1 }
      Issue.record("it was committed")
    } catch {
      #expect(calls == 0)
    }
    #expect(try names() == [])
  }

  @Test func aCancellationLeavesNothing() throws {
    let save = try ForeignDraft.begin(at: path)
    try write(bytes, to: save)
    let cancellation = Cancellation()
    cancellation.cancel()
    #expect(failure(of: save, cancellation: cancellation) == .cancelled)
    #expect(try names() == [])
  }

  /// In place, what stands before the stream is somebody else's, and stays.
  @Test func theImageStandsAtItsOffset() throws {
    let fixture = try Fixture("offset")
    let image = try File.open(fixture.unpack(into: directory), access: .read, directIO: .off)
    let bytes = try image.readBytes(at: 0, count: Int(image.size()))
    let offset = FileOffset(fixture.expected.streamOffset)
    try Subprocess.succeed(["cp", image.path.string, path.string])
    let save = try ForeignDraft.begin(at: path, inPlace: true, streamOffset: offset)
    #expect(try save.file.size() == offset.rawValue)
    let descriptor = try save.file.openAgain(for: .writing, direct: false)
    try FileDescriptor(rawValue: descriptor.rawValue).writeAll(
      toAbsoluteOffset: Int64(offset.rawValue), bytes.dropFirst(Int(offset.rawValue)))
    _ = try save.commit()
    #expect(try sha256(path) == fixture.expected.sha256)
  }

  @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
  func aDeviceIsNoPlaceForIt() throws {
    let device = try LoopDevice(byteCount: 8 << 20, in: directory)
    for isInPlace in [true, false] {
      #expect {
        _ = try ForeignDraft.begin(at: device.path, inPlace: isInPlace)
      } throws: { error in
        guard case .system(let error)? = error as? ImageError else { return false }
        if case .unsuitable = error.subject { return true } else { return false }
      }
    }
  }
}
