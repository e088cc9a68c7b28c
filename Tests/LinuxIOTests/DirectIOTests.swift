import Glibc
import LinuxIO
import SystemPackage
import TestSupport
import Testing

@Suite struct DirectIOTests {
  let directory: TemporaryDirectory
  let path: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.file("a")
    try makeFile(path, [UInt8](repeating: 9, count: 8192))
  }

  static let probe = DirectIOProbe.assume(memoryAlignment: 512, offsetAlignment: 4096)

  @Test func offIsOffWhateverTheFileSystemCanDo() throws {
    let file = try File.open(path, access: .read, directIO: .off, probe: Self.probe)
    #expect(file.directIO == .off)
    #expect(file.descriptor(offset: 0, address: 0, byteCount: 0) == file.bufferedDescriptor)
  }

  @Test func autoFallsBackAndSaysWhy() throws {
    let file = try File.open(path, access: .read, directIO: .auto, probe: .refuse)
    #expect(file.directIO == .refused(.asked))
    #expect(!file.isDirect(offset: 0, address: 0, byteCount: 4096))
    #expect(file.descriptor(offset: 0, address: 0, byteCount: 4096) == file.bufferedDescriptor)
  }

  @Test func requiredDoesNotFallBack() throws {
    #expect(throws: SystemCallError.directIORefused(path, .asked)) {
      try File.open(path, access: .read, directIO: .required, probe: .refuse)
    }
  }

  @Test func aFileInMemoryHasNone() throws {
    let path = FilePath("/dev/shm/mapped-ram-test-\(UInt64.random(in: 0...UInt64.max))")
    try makeFile(path, [1])
    defer { _ = unsafe path.withPlatformString { unsafe unlink($0) } }
    let file = try File.open(path, access: .readWrite)
    guard case .refused(let refusal) = file.directIO else {
      Issue.record("direct I/O on tmpfs: \(file.directIO)")
      return
    }
    // Until Linux 6.5 the open fails.
    #expect([.memoryFileSystem, .openFailed(.invalidArgument)].contains(refusal))
  }

  /// Where there is direct I/O here, its alignment must serve a read and a write.
  @Test func theReportedAlignmentIsEnough() throws {
    let file = try File.open(path, access: .readWrite)
    let memory = try AlignedBuffer(byteCount: 3 * 4096)
    if case .active(let memoryAlignment, let offsetAlignment) = file.directIO {
      #expect(memoryAlignment > 0 && memoryAlignment <= 65536)
      let bytes = unsafe UnsafeMutableRawBufferPointer(
        rebasing: memory.bytes[memoryAlignment..<memoryAlignment + offsetAlignment])
      let address = UInt(bitPattern: bytes.baseAddress)
      #expect(file.isDirect(offset: 4096, address: address, byteCount: offsetAlignment))
      #expect(!file.isDirect(offset: 4096, address: address + 1, byteCount: offsetAlignment))
      let descriptor = FileDescriptor(
        rawValue: file.descriptor(offset: 4096, address: address, byteCount: offsetAlignment))
      #expect(
        try unsafe descriptor.read(fromAbsoluteOffset: 4096, into: bytes) == offsetAlignment)
      #expect(unsafe bytes.allSatisfy { $0 == 9 })
      unsafe bytes[0] = 77
      #expect(
        try unsafe descriptor.writeAll(
          toAbsoluteOffset: 4096, UnsafeRawBufferPointer(bytes)) == offsetAlignment)
      #expect(try file.readBytes(at: 4096, count: 2) == [77, 9])
    } else {
      #expect(file.descriptor(offset: 0, address: 0, byteCount: 4096) == file.bufferedDescriptor)
    }
  }

  /// Offset and length by 4096, memory by 512: each of the three alone decides.
  @Test(
    arguments: [
      (0, 0, 0, true), (0, 0, 4096, true), (4096, 512, 8192, true),
      (8192, 0x7f00_0000_0200, 4096, true),
      (1, 0, 4096, false), (512, 0, 4096, false), (4095, 0, 4096, false), (4097, 0, 4096, false),
      (0, 1, 4096, false), (0, 256, 4096, false), (0, 511, 4096, false), (0, 513, 4096, false),
      (0, 0, 1, false), (0, 0, 512, false), (0, 0, 4095, false), (0, 0, 4097, false),
      (UInt64.max, 0, 4096, false), (UInt64.max - 4095, UInt.max - 511, 1 << 40, true),
    ] as [(UInt64, UInt, Int, Bool)])
  func onlyAlignedRequestsAreDirect(
    offset: UInt64, address: UInt, byteCount: Int, isDirect: Bool
  ) throws {
    let file = try File.open(path, access: .read, directIO: .required, probe: Self.probe)
    #expect(file.directIO == .active(memoryAlignment: 512, offsetAlignment: 4096))
    #expect(
      file.isDirect(offset: offset, address: address, byteCount: byteCount) == isDirect)
    let chosen = file.descriptor(offset: offset, address: address, byteCount: byteCount)
    #expect((chosen != file.bufferedDescriptor) == isDirect)
  }

  @Test func bothDescriptorsAreOfTheSameFileAfterARename() throws {
    let file = try File.open(path, access: .readWrite, probe: Self.probe)
    try Subprocess.succeed(["mv", path.string, directory.file("b").string])
    try makeFile(path, [1, 1, 1])
    let direct = try File.open(
      descriptor: file.descriptor(offset: 0, address: 0, byteCount: 0), access: .read,
      directIO: .off)
    #expect(try direct.size() == 8192)
  }
}
