import LinuxIO
import SystemPackage
import TestSupport
import Testing
import URing

/// Random requests through a ring against the same ones through pread and pwrite.
@Suite(.enabled(if: isRingAvailable, "io_uring is refused here"))
struct RingPropertyTests {
  static let slots = 8
  static let slotBytes = 16384

  struct Request {
    var isWrite: Bool
    var offset: UInt64
    var count: Int
  }

  struct Configuration: Sendable {
    var isRegistered: Bool
    var directIO: DirectIOPolicy
    var work: Ring.CompletionWork

    static let all = [false, true].flatMap { isRegistered in
      [DirectIOPolicy.auto, .off].flatMap { directIO in
        Ring.CompletionWork.allCases.map {
          Configuration(isRegistered: isRegistered, directIO: directIO, work: $0)
        }
      }
    }
  }

  @Test(arguments: Configuration.all)
  func transfersWhatPositionedCallsTransfer(configuration: Configuration) throws {
    let scratch = try Scratch(byteCount: 1 << 20)
    let file = try File.open(
      scratch.file.path, access: .readWrite, directIO: configuration.directIO)
    var generator = SeededGenerator()
    var model = scratch.bytes
    let buffer = try AlignedBuffer(byteCount: Self.slots * Self.slotBytes)
    var ring = try Ring(entries: Self.slots, work: configuration.work)
    if configuration.isRegistered { try unsafe ring.registerBuffer(buffer.bytes) }
    var directRequests = 0
    for _ in 0..<60 {
      // One turn has requests on disjoint parts of the file: their order is not defined.
      let requests = Self.turn(&generator)
      for (slot, request) in requests.enumerated() {
        let start = slot * Self.slotBytes
        let memory = unsafe UnsafeMutableRawBufferPointer(
          rebasing: buffer.bytes[start..<start + request.count])
        let address = UInt(bitPattern: memory.baseAddress)
        let descriptor = file.descriptor(
          offset: request.offset, address: address, byteCount: request.count)
        if descriptor != file.bufferedDescriptor { directRequests += 1 }
        if request.isWrite {
          let bytes = generator.bytes(request.count)
          unsafe memory.copyBytes(from: bytes)
          model.replaceSubrange(
            Int(request.offset)..<Int(request.offset) + request.count, with: bytes)
          unsafe ring.prepareWrite(
            descriptor: descriptor, from: UnsafeRawBufferPointer(memory), offset: request.offset,
            tag: UInt64(slot))
        } else {
          unsafe ring.prepareRead(
            descriptor: descriptor, into: memory, offset: request.offset, tag: UInt64(slot))
        }
      }
      let results = try ring.finishAll()
      for (slot, request) in requests.enumerated() {
        try #require(results[UInt64(slot)] == Int32(request.count))
        let start = slot * Self.slotBytes
        let expected = model[Int(request.offset)..<Int(request.offset) + request.count]
        try #require(
          unsafe Array(buffer.bytes[start..<start + request.count]) == Array(expected))
        try #require(
          try scratch.file.readBytes(at: request.offset, count: request.count) == Array(expected))
      }
    }
    #expect(try scratch.file.readBytes(at: 0, count: 2 << 20) == model)
    if case .active = file.directIO { #expect(directRequests > 0) }
  }

  /// Requests on neighbouring parts of 128 KiB each, half of them aligned to 4096 bytes.
  static func turn(_ generator: inout SeededGenerator) -> [Request] {
    let part = (1 << 20) / slots
    return (0..<slots).map { slot in
      var offset = Int.random(in: 0..<part - slotBytes, using: &generator)
      var count = Int.random(in: 0...slotBytes, using: &generator)
      if Bool.random(using: &generator) {
        offset &= ~4095
        count &= ~4095
      }
      return Request(
        isWrite: Bool.random(using: &generator), offset: UInt64(slot * part + offset), count: count)
    }
  }

  /// Four rings on four threads write their quarters at the same time.
  @Test func ringsOnSeveralThreadsDoNotDisturbEachOther() throws {
    let scratch = try Scratch(byteCount: 1 << 20)
    let file = scratch.file
    func start(_ quarter: Int) throws {
      guard quarter < 4 else { return }
      let thread = try PosixThread(name: "ring \(quarter)") { () throws(SystemCallError) in
        try Self.fill(file, quarter)
      }
      // Joined in any case: a thread must not be dropped.
      let below = Result { try start(quarter + 1) }
      try thread.join()
      try below.get()
    }
    try start(0)
    for quarter in 0..<4 {
      let bytes = try file.readBytes(at: UInt64(quarter) << 18, count: 1 << 18)
      #expect(bytes == [UInt8](repeating: UInt8(quarter + 1), count: 1 << 18))
    }
  }

  static func fill(_ file: File, _ quarter: Int) throws(SystemCallError) {
    let buffer = try AlignedBuffer(byteCount: 4096)
    unsafe buffer.bytes.initializeMemory(as: UInt8.self, repeating: UInt8(quarter + 1))
    var ring = try Ring(entries: 8)
    try unsafe ring.registerBuffer(buffer.bytes)
    var left = 64
    while left > 0 || ring.inFlight > 0 {
      while left > 0, ring.freeEntries > 0 {
        left -= 1
        unsafe ring.prepareWrite(
          descriptor: file.bufferedDescriptor, from: UnsafeRawBufferPointer(buffer.bytes),
          offset: UInt64(quarter) << 18 + UInt64(left) * 4096, tag: UInt64(left))
      }
      try ring.submitAndWait(minimum: 1)
      while let completion = ring.nextCompletion() {
        precondition(completion.result == 4096, "A short write")
      }
    }
  }
}
