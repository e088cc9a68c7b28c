import Glibc
import LinuxIO
import SystemPackage
import TestSupport
import Testing
import URing

/// Whether io_uring may be used here. Where not, the channels run without it, and so do other
/// tests.
let isRingAvailable = Ring.probe() == .available

@Suite(.enabled(if: isRingAvailable, "io_uring is refused here"))
struct RingTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch(byteCount: 1 << 20) }

  @Test func aNewRingIsEmpty() throws {
    var ring = try Ring(entries: 5)
    #expect(ring.entries == 5)
    #expect(ring.freeEntries == 5)
    #expect(ring.inFlight == 0)
    #expect(ring.hasRegisteredBuffer == false)
    let completion = ring.nextCompletion()
    #expect(completion == nil)
    // With nothing in flight there is nothing to wait for.
    try ring.submitAndWait(minimum: 3)
  }

  /// A process that is forked while there is a ring would keep its files open, and its buffers in memory. Rings of other tests count as
  /// well.
  @Test func isLeftOutOfForks() throws {
    let ring = try Ring(entries: 5)
    let lines = try ProcessText.lines(of: "/proc/self/smaps").map {
      String(decoding: $0, as: UTF8.self)
    }
    var isRing = false
    var flags: [[Substring]] = []
    for line in lines {
      let words = line.split(separator: " ")
      if words.first?.contains("-") ?? false { isRing = line.hasSuffix("anon_inode:[io_uring]") }
      if isRing, words.first == "VmFlags:" { flags.append(words) }
    }
    #expect(!flags.isEmpty)
    #expect(flags.allSatisfy { $0.contains("dc") })
    ring.close()
  }

  @Test(arguments: [false, true])
  func writesAndReadsAPartOfTheBuffer(isRegistered: Bool) throws {
    let buffer = try AlignedBuffer(byteCount: 1 << 16)
    var ring = try Ring(entries: 1)
    if isRegistered { try unsafe ring.registerBuffer(buffer.bytes) }
    #expect(ring.hasRegisteredBuffer == isRegistered)
    unsafe buffer.bytes.initializeMemory(as: UInt8.self, repeating: 5)
    let written = try unsafe ring.write(scratch.file, buffer.bytes[100..<4200], at: 1000)
    #expect(written == 4100)
    #expect(try scratch.file.readBytes(at: 999, count: 3) == [scratch.bytes[999], 5, 5])
    #expect(try scratch.file.readBytes(at: 5099, count: 2) == [5, scratch.bytes[5100]])
    let read = try unsafe ring.read(scratch.file, buffer.bytes[65000..<65536], at: 7000)
    #expect(read == 536)
    #expect(unsafe Array(buffer.bytes[65000...]) == Array(scratch.bytes[7000..<7536]))
    #expect(unsafe buffer.bytes[64999] == 5)
  }

  /// Inside, at the ends, across an end, and outside of what is registered: all transfer.
  @Test func memoryInAndOutsideTheRegisteredBufferWorks() throws {
    let buffer = try AlignedBuffer(byteCount: 3 << 16)
    var ring = try Ring(entries: 1)
    let middle = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[65536..<131072])
    try unsafe ring.registerBuffer(middle)
    for range in [
      65536..<131072, 65536..<65537, 131071..<131072, 65535..<65537, 131071..<131073, 0..<65536,
      131072..<196608, 65536..<65536, 131072..<131072,
    ] {
      let read = try unsafe ring.read(scratch.file, buffer.bytes[range], at: 77)
      #expect(read == range.count)
      #expect(
        unsafe Array(buffer.bytes[range]) == Array(scratch.bytes[77..<77 + range.count]))
    }
  }

  @Test func aReadAtTheEndIsShort() throws {
    let buffer = try AlignedBuffer(byteCount: 8192)
    var ring = try Ring(entries: 1)
    let size = try scratch.file.size()
    #expect(try unsafe ring.read(scratch.file, buffer.bytes[0..<8192], at: size - 100) == 100)
    #expect(try unsafe ring.read(scratch.file, buffer.bytes[0..<8192], at: size) == 0)
    #expect(try unsafe ring.read(scratch.file, buffer.bytes[0..<8192], at: size + 5000) == 0)
  }

  @Test func anErrorIsTheResultOfItsRequest() throws {
    let buffer = try AlignedBuffer(byteCount: 4096)
    let reader = try File.open(scratch.file.path, access: .read)
    var ring = try Ring(entries: 4)
    unsafe ring.prepareRead(descriptor: 900, into: buffer.bytes, offset: 0, tag: 1)
    unsafe ring.prepareWrite(
      descriptor: reader.bufferedDescriptor, from: UnsafeRawBufferPointer(buffer.bytes), offset: 0,
      tag: 2)
    unsafe ring.prepareRead(
      descriptor: reader.bufferedDescriptor, into: buffer.bytes, offset: 0, tag: 3)
    let results = try ring.finishAll()
    #expect(
      results == [
        1: -Errno.badFileDescriptor.rawValue, 2: -Errno.badFileDescriptor.rawValue, 3: 4096,
      ])
  }

  @Test(arguments: [1, 2, 3, 7, 8, 64])
  func takesAsManyRequestsAsItHasEntriesAndNoMore(entries: Int) throws {
    let buffer = try AlignedBuffer(byteCount: entries * 512)
    var ring = try Ring(entries: entries)
    for round in 0..<3 {
      for entry in 0..<entries {
        #expect(ring.freeEntries == entries - entry)
        unsafe ring.prepareRead(
          descriptor: scratch.file.bufferedDescriptor,
          into: UnsafeMutableRawBufferPointer(
            rebasing: buffer.bytes[entry * 512..<entry * 512 + 512]),
          offset: UInt64(entry * 1000 + round), tag: UInt64(entry))
      }
      #expect(ring.freeEntries == 0)
      #expect(ring.inFlight == entries)
      let results = try ring.finishAll()
      #expect(results.count == entries)
      #expect(results.values.allSatisfy { $0 == 512 })
      #expect(ring.freeEntries == entries)
      for entry in 0..<entries {
        let offset = entry * 1000 + round
        #expect(
          unsafe Array(buffer.bytes[entry * 512..<entry * 512 + 512])
            == Array(scratch.bytes[offset..<offset + 512]))
      }
    }
  }

  @Test(arguments: [0, 1, UInt64.max, 1 << 63]) func everyTagComesBack(tag: UInt64) throws {
    let buffer = try AlignedBuffer(byteCount: 1)
    var ring = try Ring(entries: 1)
    unsafe ring.prepareRead(
      descriptor: scratch.file.bufferedDescriptor, into: buffer.bytes, offset: 0, tag: tag)
    try ring.submitAndWait(minimum: 1)
    let completion = ring.nextCompletion()
    #expect(completion == Ring.Completion(tag: tag, result: 1))
    let none = ring.nextCompletion()
    #expect(none == nil)
  }

  /// Completions that were not taken count for `minimum`, so this does not wait.
  @Test(.timeLimit(.minutes(15))) func waitingCountsWhatIsReadyAlready() throws {
    let buffer = try AlignedBuffer(byteCount: 4096)
    var ring = try Ring(entries: 4)
    for tag in UInt64(0)..<3 {
      unsafe ring.prepareRead(
        descriptor: scratch.file.bufferedDescriptor, into: buffer.bytes, offset: 0, tag: tag)
    }
    try ring.submitAndWait(minimum: 3)
    try ring.submitAndWait(minimum: 3)
    try ring.submitAndWait(minimum: 100)
    var count = 0
    while ring.nextCompletion() != nil { count += 1 }
    #expect(count == 3)
  }

  /// A read from an empty pipe never ends by itself; the other one does.
  @Test(.timeLimit(.minutes(15))) func waitsForTheMinimumAlone() throws {
    let pipe = try Pipe()
    let buffer = try AlignedBuffer(byteCount: 8192)
    var ring = try Ring(entries: 2)
    unsafe ring.prepareRead(
      descriptor: pipe.reader.rawValue,
      into: UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[0..<1]), offset: 0, tag: 1)
    unsafe ring.prepareRead(
      descriptor: scratch.file.bufferedDescriptor,
      into: UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[4096..<8192]), offset: 0, tag: 2)
    try ring.submitAndWait(minimum: 1)
    let first = ring.nextCompletion()
    #expect(first == Ring.Completion(tag: 2, result: 4096))
    let second = ring.nextCompletion()
    #expect(second == nil)
    #expect(ring.inFlight == 1)
    try pipe.write(9)
    try ring.submitAndWait(minimum: 1)
    let third = ring.nextCompletion()
    #expect(third == Ring.Completion(tag: 1, result: 1))
    #expect(unsafe buffer.bytes[0] == 9)
  }

  /// The dropped ring's read ends when another thread writes; until then the drop waits.
  @Test(.timeLimit(.minutes(15))) func isDroppedOnlyWhenNothingIsInFlight() throws {
    let pipe = try Pipe()
    let buffer = try AlignedBuffer(byteCount: 1)
    let order = Monitor<[String]>([])
    let writer = try PosixThread(name: "writer") { () throws(SystemCallError) in
      order.wait { $0.isEmpty ? nil : () }
      order.withLock { $0.append("written") }
      try pipe.write(7)
    }
    do {
      var ring = try Ring(entries: 2)
      unsafe ring.prepareRead(
        descriptor: pipe.reader.rawValue, into: buffer.bytes, offset: 0, tag: 1)
      try ring.submitAndWait(minimum: 0)
      order.withLock { $0.append("submitted") }
      ring.close()
      order.withLock { $0.append("closed") }
    }
    try writer.join()
    #expect(order.withLock { $0 } == ["submitted", "written", "closed"])
    #expect(unsafe buffer.bytes[0] == 7)
  }

  @Test(.timeLimit(.minutes(15))) func whatWasOnlyPreparedIsForgotten() throws {
    let buffer = try AlignedBuffer(byteCount: 4096)
    do {
      var ring = try Ring(entries: 8)
      for tag in UInt64(0)..<8 {
        unsafe ring.prepareWrite(
          descriptor: scratch.file.bufferedDescriptor, from: UnsafeRawBufferPointer(buffer.bytes),
          offset: 0, tag: tag)
      }
    }
    #expect(try scratch.file.readBytes(at: 0, count: 4096) == Array(scratch.bytes[..<4096]))
  }

  /// In a child, where no other test opens anything; the test library itself may open a few.
  @Test func closedRingsLeaveNoDescriptors() async {
    await #expect(processExitsWith: .success) {
      let before = openDescriptors()
      for _ in 0..<100 { try Ring(entries: 64).close() }
      let after = openDescriptors()
      precondition(after < before + 50)
    }
  }

  @Test func moreRequestsThanEntriesEndTheProcess() async {
    await #expect(processExitsWith: .failure) {
      let buffer = try AlignedBuffer(byteCount: 1)
      var ring = try Ring(entries: 3)
      for tag in UInt64(0)..<4 {
        unsafe ring.prepareRead(descriptor: 0, into: buffer.bytes, offset: 0, tag: tag)
      }
    }
  }

  @Test(arguments: [0, 4097, -1])
  func aRingOfNoOrTooManyEntriesEndsTheProcess(entries: Int) async {
    await #expect(processExitsWith: .failure) { [entries = entries as Int] in
      _ = try Ring(entries: entries)
    }
  }

  @Test func theLargestRingWorks() throws {
    let ring = try Ring(entries: 4096)
    #expect(ring.freeEntries == 4096)
  }

  @Test func moreThanOneGiBCannotBeRegistered() throws {
    // The pages are never touched: the kernel looks at the length first.
    let mapping = try Mapping(anonymousByteCount: (1 << 30) + 4096)
    var ring = try Ring(entries: 1)
    let error: SystemCallError?
    do throws(SystemCallError) {
      try unsafe ring.registerBuffer(mapping.mutableBytes)
      error = nil
    } catch let found {
      error = found
    }
    withExtendedLifetime(mapping) {}
    #expect(
      error == SystemCallError(call: .io_uring_register, errno: .badAddress, subject: .ring))
    #expect(ring.hasRegisteredBuffer == false)
  }

  /// In a child, as a user who may lock 8 MiB; the unregistered buffer works all the same.
  @Test(.enabled(if: geteuid() == 0, "needs root to become another user"))
  func aBufferAboveTheLimitOfLockedMemoryIsRefusedAndWorks() async throws {
    let path = scratch.file.path.string
    await #expect(processExitsWith: .success) { [path = path as String] in
      let file = try File.open(FilePath(path), access: .read)
      var limit = rlimit(rlim_cur: 8 << 20, rlim_max: 8 << 20)
      let limited = unsafe setrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit)
      precondition(limited == 0 && setuid(65534) == 0)
      let buffer = try AlignedBuffer(byteCount: 16 << 20)
      var ring = try Ring(entries: 1)
      do throws(SystemCallError) {
        try unsafe ring.registerBuffer(buffer.bytes)
        preconditionFailure("16 MiB were locked")
      } catch {
        precondition(error.call == .io_uring_register && error.errno == .noMemory)
        precondition(error.advice?.contains("RLIMIT_MEMLOCK") == true)
      }
      precondition(ring.hasRegisteredBuffer == false)
      let read = try unsafe ring.read(file, buffer.bytes[0..<4096], at: 0)
      precondition(read == 4096)
      // A smaller one can still be registered.
      try unsafe ring.registerBuffer(
        UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[0..<4096]))
    }
  }
}
