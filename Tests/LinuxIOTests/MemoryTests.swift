import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import LinuxIO

@Suite struct AlignedBufferTests {
  @Test(arguments: [1, 4095, 4096, 4097, 1 << 20, (1 << 20) + 1, 2 << 20, (5 << 20) - 1])
  func isAlignedZeroedAndWritable(byteCount: Int) throws {
    let buffer = try AlignedBuffer(byteCount: byteCount)
    #expect(buffer.byteCount == byteCount)
    #expect(unsafe UInt(bitPattern: buffer.base) % UInt(sysconf(Int32(_SC_PAGESIZE))) == 0)
    unsafe buffer.withUnsafeMutableBytes { bytes in
      #expect(bytes.count == byteCount)
      #expect(unsafe bytes.allSatisfy { $0 == 0 })
      unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0xff)
    }
    #expect(unsafe buffer.bytes.allSatisfy { $0 == 0xff })
  }

  /// So that the kernel can make them of huge pages.
  @Test(arguments: [2 << 20, (2 << 20) + 1, 4 << 20, 7 << 20])
  func ofTwoMebibytesAndMoreBeginsAtAHugePage(byteCount: Int) throws {
    let buffer = try AlignedBuffer(byteCount: byteCount)
    #expect(unsafe UInt(bitPattern: buffer.base) % (2 << 20) == 0)
    #expect(buffer.byteCount == byteCount)
    unsafe buffer.base.storeBytes(of: 1, toByteOffset: byteCount - 1, as: UInt8.self)
    #expect(try unsafe adviceFlags(at: buffer.base).contains("hg"))
  }

  /// Small ones would waste what is left of one.
  @Test func ofLessThanTwoMebibytesAsksForNoHugePages() throws {
    let buffer = try AlignedBuffer(byteCount: (2 << 20) - 1)
    #expect(try unsafe !adviceFlags(at: buffer.base).contains("hg"))
  }

  /// A core dump of this process has no pages of a guest in it, and a fork copies none that are pinned.
  @Test(arguments: [1, 4096, 1 << 20, 2 << 20, (5 << 20) - 1])
  func isLeftOutOfCoreDumpsAndForks(byteCount: Int) throws {
    let buffer = try AlignedBuffer(byteCount: byteCount)
    let last = unsafe buffer.base + (byteCount - 1)
    #expect(try unsafe adviceFlags(at: buffer.base).isSuperset(of: ["dd", "dc"]))
    #expect(try unsafe adviceFlags(at: last).isSuperset(of: ["dd", "dc"]))
  }

  @Test func allPagesArePresentFromTheBegin() throws {
    let buffer = try AlignedBuffer(byteCount: 16 << 20)
    let page = sysconf(Int32(_SC_PAGESIZE))
    var present = [UInt8](repeating: 0, count: buffer.byteCount / page)
    let result = unsafe mincore(buffer.base, buffer.byteCount, &present)
    try #require(result == 0)
    #expect(present.allSatisfy { $0 & 1 == 1 })
  }

  @Test func moreThanTheAddressSpaceIsAnError() throws {
    let error = #expect(throws: SystemCallError.self) {
      _ = try AlignedBuffer(byteCount: Int.max - 65536)
    }
    #expect(
      error
        == SystemCallError(
          call: .mmap, errno: .noMemory, subject: .memory(byteCount: Int.max - 65536)))
  }

  /// In a child, where no other test maps anything.
  @Test func theMemoryGoesBack() async throws {
    await #expect(processExitsWith: .success) {
      let before = try mappedPages()
      for _ in 0..<1000 { _ = try AlignedBuffer(byteCount: 1 << 20) }
      let after = try mappedPages()
      // A gigabyte went through; the heap may have grown a little.
      precondition((after - before) * sysconf(Int32(_SC_PAGESIZE)) < 500 << 20)
    }
  }
}

@Suite struct MappingTests {
  let directory: TemporaryDirectory
  let file: File
  let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 / 3) }

  init() throws {
    directory = try TemporaryDirectory()
    try makeFile(directory.file("a"), bytes)
    file = try File.open(directory.file("a"), access: .readWrite)
  }

  @Test(arguments: [0..<1, 0..<10_000, 1..<10_000, 4095..<4097, 4096..<8192, 9_999..<10_000])
  func holdsTheBytesOfTheRange(range: Range<Int>) throws {
    let mapping = try Mapping(
      file, range: UInt64(range.lowerBound)..<UInt64(range.upperBound), mode: .read)
    #expect(mapping.byteCount == range.count)
    #expect(!mapping.isWritable)
    #expect(array(mapping) == Array(bytes[range]))
  }

  @Test(arguments: [0..<0, 5..<5, 0..<10_001, 10_000..<10_001, 20_000..<20_001, 0..<UInt64.max])
  func aRangeNotInTheFileIsAnError(range: Range<UInt64>) throws {
    let expected = SystemCallError.outsideFile(file.path, range: range, byteCount: 10_000)
    #expect(throws: expected) { try Mapping(file, range: range, mode: .read) }
  }

  @Test func sharedWritesReachTheFile() throws {
    let mapping = try Mapping(file, range: 5000..<5002, mode: .sharedWrite)
    unsafe mapping.withUnsafeMutableBytes { unsafe $0[1] = 255 }
    #expect(try file.readBytes(at: 5000, count: 2) == [bytes[5000], 255])
  }

  @Test func privateWritesDoNotReachTheFile() throws {
    let mapping = try Mapping(file, range: 5000..<5002, mode: .privateWrite)
    unsafe mapping.withUnsafeMutableBytes { unsafe $0[1] = 255 }
    #expect(array(mapping) == [bytes[5000], 255])
    #expect(try contents(file.path) == bytes)
  }

  @Test func sharedWritingNeedsAFileOpenForWriting() throws {
    let reader = try File.open(file.path, access: .read)
    let expected = SystemCallError(
      call: .mmap, errno: .permissionDenied, subject: .range(file.path, 0..<1))
    #expect(throws: expected) {
      try Mapping(reader, range: 0..<1, mode: .sharedWrite)
    }
  }

  /// The memory of a guest in a shared file, as any other, is left out of core dumps of this process, and of what it forks.
  @Test(arguments: [Mapping.Mode.read, .sharedWrite, .privateWrite])
  func isLeftOutOfCoreDumpsAndForks(mode: Mapping.Mode) throws {
    let memory = try File.inMemory(name: "guest", byteCount: 5 << 20)
    for mapping in [
      try Mapping(memory, range: 4097..<3 << 20, mode: mode),
      try Mapping(anonymousByteCount: (3 << 20) + 1),
    ] {
      let last = unsafe mapping.baseAddress + (mapping.byteCount - 1)
      #expect(try unsafe adviceFlags(at: mapping.baseAddress).isSuperset(of: ["dd", "dc"]))
      #expect(try unsafe adviceFlags(at: last).isSuperset(of: ["dd", "dc"]))
      withExtendedLifetime(mapping) {}
    }
  }

  /// A guest's memory may be huge pages, of which a part is mapped: a mapping is left out, and goes away, in whole ones alone.
  @Test(
    .enabled(
      if: HugePages.isAvailable && SmallFileSystem.isPermitted, "needs root and huge pages"),
    arguments: [0..<1, 0..<(2 << 20) + 4096, 4097..<(3 << 20), 0..<4 << 20])
  func hugePagesAreLeftOutOfCoreDumpsAndForks(range: Range<UInt64>) throws {
    let pages = try HugePages(count: 8)
    let place = directory.file("huge")
    try Subprocess.succeed(["mkdir", place.string])
    try Subprocess.succeed(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "none", place.string])
    defer { _ = try? Subprocess.succeed(["umount", "--lazy", place.string]) }
    try Subprocess.succeed(["truncate", "-s", "4M", place.appending("ram").string])
    let file = try File.open(place.appending("ram"), access: .readWrite, directIO: .off)
    do {
      let mapping = try Mapping(file, range: range, mode: .sharedWrite)
      let last = unsafe mapping.baseAddress + (mapping.byteCount - 1)
      unsafe last.storeBytes(of: 7, as: UInt8.self)
      #expect(try unsafe adviceFlags(at: mapping.baseAddress).isSuperset(of: ["dd", "dc"]))
      #expect(try unsafe adviceFlags(at: last).isSuperset(of: ["dd", "dc"]))
      withExtendedLifetime(mapping) {}
    }
    // Its addresses may be another's by now.
    let maps = String(decoding: try contents("/proc/self/maps"), as: UTF8.self)
    #expect(!maps.contains(place.appending("ram").string))
    withExtendedLifetime(pages) {}
  }

  @Test func outlivesTheFileItWasMadeOf() throws {
    func make() throws -> Mapping {
      let file = try File.open(directory.file("a"), access: .read)
      return try Mapping(file, range: 1..<4, mode: .read)
    }
    #expect(array(try make()) == Array(bytes[1..<4]))
  }

  @Test func anonymousMemoryIsZeroedAndWritable() throws {
    let mapping = try Mapping(anonymousByteCount: 5000)
    #expect(array(mapping).allSatisfy { $0 == 0 })
    unsafe mapping.withUnsafeMutableBytes { unsafe $0[4999] = 1 }
    try mapping.advise(.populateRead, 0..<5000)
    #expect(array(mapping)[4999] == 1)
    try mapping.advise(.dontNeed, 4999..<5000)
    #expect(array(mapping)[4999] == 0)
    try mapping.advise(.dontNeed, 5000..<5000)
  }

  /// Two mappings of one file in memory, as in two processes.
  @Test func aFileInMemoryIsSharedByItsMappings() throws {
    let file = try File.inMemory(name: "ram", byteCount: 10_000)
    #expect(file.directIO == .off)
    #expect(try file.size() == 10_000)
    let writer = try Mapping(file, range: 0..<10_000, mode: .sharedWrite)
    let other = try File.open(descriptor: file.bufferedDescriptor, access: .read)
    let reader = try Mapping(other, range: 9_990..<10_000, mode: .read)
    unsafe writer.withUnsafeMutableBytes { unsafe $0[9_999] = 8 }
    #expect(array(reader) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 8])
    #expect(try file.readBytes(at: 9_999, count: 5) == [8])
  }

  /// Pages 0, 1, 2 and 4 of ten are there; the mappings begin inside a page, too.
  @Test(arguments: [0, 1, 4095, 4096, 8192 + 7])
  func whatIsInMemoryEndsAtTheFirstHole(start: Int) throws {
    let file = try File.inMemory(name: "ram", byteCount: 40960)
    for page in [0, 1, 2, 4] { try file.write([1], at: UInt64(page) * 4096) }
    let mapping = try Mapping(file, range: UInt64(start)..<40960, mode: .read)
    func count(_ range: Range<Int>) throws -> Int {
      try mapping.residentCount(of: range.lowerBound - start..<range.upperBound - start)
    }
    #expect(try count(start..<40960) == 12288 - start)
    #expect(try count(12287..<40960) == 1)
    #expect(try count(start..<start + 1) == 1)
    #expect(try count(12288..<40960) == 0)
    #expect(try count(16383..<40960) == 0)
    #expect(try count(16384..<40960) == 4096)
    #expect(try count(16389..<16400) == 11)
    #expect(try count(40959..<40960) == 0)
    // It has touched nothing.
    #expect(try file.allocatedBytes() == 4 * 4096)
  }

  @Test func aNameTooLongForAFileInMemoryIsAnError() {
    let name = String(repeating: "x", count: 300)
    let expected = SystemCallError(
      call: .memfd_create, errno: .invalidArgument, subject: .file(FilePath("memfd:\(name)")))
    #expect(throws: expected) { try File.inMemory(name: name, byteCount: 1) }
  }

  @Test(arguments: [Advice.sequential, .random, .willNeed, .dontNeed, .populateRead])
  func adviceIsTakenAtEveryPlace(advice: Advice) throws {
    let mapping = try Mapping(file, range: 4097..<9000, mode: .read)
    try mapping.advise(advice, 0..<1)
    try mapping.advise(advice, 4000..<4903)
    #expect(array(mapping) == Array(bytes[4097..<9000]))
  }
}

private func array(_ mapping: Mapping) -> [UInt8] {
  unsafe mapping.withUnsafeBytes { unsafe Array($0) }
}

/// The size of this process's address space, in pages: the first number of proc(5)'s statm.
private func mappedPages() throws -> Int {
  let text = String(decoding: try contents("/proc/self/statm"), as: UTF8.self)
  return Int(text.prefix { $0 != " " }) ?? 0
}

/// The flags of the mapping that has the address (proc_pid_smaps(5), VmFlags).
private func adviceFlags(at address: UnsafeMutableRawPointer) throws -> Set<Substring> {
  let wanted = UInt(bitPattern: address)
  var isInside = false
  for line in try ProcessText.lines(of: "/proc/self/smaps") {
    let words = String(decoding: line, as: UTF8.self).split(separator: " ")
    let ends = words[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
    if ends.count == 2 { isInside = (ends[0]..<ends[1]).contains(wanted) }
    if isInside, words[0] == "VmFlags:" { return Set(words.dropFirst()) }
  }
  throw HarnessError("no mapping at \(wanted)")
}
