import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// The disk does not wait while a channel copies: what can be asked of it is asked before.
@Suite struct PipelineTests {
  /// What a channel does, in its order.
  enum Event: Equatable {
    case copy, begin, submit, wait
  }

  /// A block's memory, and I/O, that note what is done with them.
  final class Log: Sendable {
    let events = Monitor<[Event]>([])
    func add(_ event: Event) { events.withLock { $0.append(event) } }
  }

  private struct LoggedPages: PageSource, PageTarget, CopyingSource, CopyingTarget {
    let pages: MemoryPages
    let log: Log
    var byteCount: UInt64 { pages.byteCount }
    var startsZero: Bool { pages.startsZero }
    var readAccess: SourceAccess { .copy(self) }
    var writeAccess: TargetAccess { .copy(self) }

    func copy(
      into buffer: UnsafeMutableRawBufferPointer, from offset: UInt64
    ) throws(SystemCallError) {
      log.add(.copy)
      try unsafe pages.copy(into: buffer, from: offset)
    }

    func copy(
      from buffer: UnsafeRawBufferPointer, to offset: UInt64
    ) throws(SystemCallError) {
      log.add(.copy)
      try unsafe pages.copy(from: buffer, to: offset)
    }
  }

  private struct LoggedIO: ChannelIO, ~Copyable {
    var io: PositionedIO
    let log: Log
    var capacity: Int { io.capacity }
    var inFlight: Int { io.inFlight }

    mutating func read(
      _ file: File, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, tag: Int
    ) {
      log.add(.begin)
      unsafe io.read(file, into: buffer, at: offset, tag: tag)
    }

    mutating func write(
      _ file: File, from buffer: UnsafeRawBufferPointer, at offset: UInt64, tag: Int
    ) {
      log.add(.begin)
      unsafe io.write(file, from: buffer, at: offset, tag: tag)
    }

    mutating func submit() throws(SystemCallError) { log.add(.submit) }
    mutating func wait() throws(SystemCallError) { log.add(.wait) }
    mutating func nextCompletion() -> IOCompletion? { io.nextCompletion() }
    consuming func close() { io.close() }
  }

  private struct LoggedFactory: ChannelIOFactory {
    let log: Log

    func runChannel(_ parts: ChannelParts) throws(SystemCallError) {
      parts.runChannel(LoggedIO(io: PositionedIO(capacity: parts.shape.queueDepth), log: log))
    }
  }

  private static let options = ChannelOptions(channels: 1, queueDepth: 8, requestBytes: 256 << 10)

  /// Of 32 extents, with one request each; eight are in memory at once.
  private func guest(_ generator: inout SeededGenerator) throws -> TestGuest {
    try TestGuest(pages: [2048], zeroFraction: 0, using: &generator)
  }

  @Test func aSaveWritesWhatItHasBeforeItCopiesMore() throws {
    var generator = SeededGenerator()
    let directory = try TemporaryDirectory()
    let guest = try guest(&generator)
    let log = Log()
    let pages = LoggedPages(pages: guest.blocks[0].pages, log: log)
    var save = try ImageSave(
      SavePlan(
        prologue: StreamPrologue(configuration: TestGuest.configuration),
        blocks: [SavePlan.Block(guest.blocks[0].block, pages: pages)],
        tail: [.bytes(TestGuest.tail)], for: "plan"),
      options: Self.options)
    save.factory = LoggedFactory(log: log)
    _ = try save.run(to: directory.file("a"))
    let events = log.events.withLock { $0 }
    let copies = events.indices.filter { events[$0] == .copy }
    try #require(copies.count > 4)
    for (copy, next) in zip(copies, copies.dropFirst()) {
      let between = events[(copy + 1)..<next]
      #expect(between.starts(with: [.begin, .submit]), "\(between)")
    }
    #expect(try restoreToMemory(directory.file("a")) == [guest.contents(0)])
  }

  @Test func aRestoreReadsMoreBeforeItCopiesMore() throws {
    var generator = SeededGenerator()
    let directory = try TemporaryDirectory()
    let guest = try guest(&generator)
    _ = try ImageSave(guest.plan(), options: Self.options).run(to: directory.file("a"))
    let log = Log()
    let target = try MemoryPages(byteCount: Int(guest.blocks[0].pages.byteCount))
    var restore = ImageRestore(
      try File.open(directory.file("a"), access: .read), options: Self.options)
    restore.factory = LoggedFactory(log: log)
    _ = try restore.run { _ in LoggedPages(pages: target, log: log) }
    let events = log.events.withLock { $0 }
    let copies = events.indices.filter { events[$0] == .copy }
    let lastBegin = try #require(events.lastIndex(of: .begin))
    try #require(copies.count > 4 && copies[0] < lastBegin)
    for (copy, next) in zip(copies, copies.dropFirst()) {
      let between = Array(events[(copy + 1)..<next])
      #expect(between == (copy < lastBegin ? [.begin, .wait] : [.wait]))
    }
    #expect(target.allBytes == guest.contents(0))
  }

  /// Without io_uring: what is done first is told first, so that nothing that was read early waits for what is read next.
  @Test func requestsThatAreDoneAtOnceAreToldInTheirOrder() throws {
    let file = try File.inMemory(name: "order", byteCount: 4096)
    let buffer = try AlignedBuffer(byteCount: 4096)
    var io = PositionedIO(capacity: 3)
    // SAFETY: the buffer outlives the requests, each of which is over at once.
    for tag in [7, 3, 5] { unsafe io.read(file, into: buffer.bytes, at: 0, tag: tag) }
    #expect(io.inFlight == 3)
    #expect(io.nextCompletion() == IOCompletion(tag: 7, result: 4096))
    unsafe io.read(file, into: buffer.bytes, at: 4096, tag: 9)
    #expect(io.nextCompletion() == IOCompletion(tag: 3, result: 4096))
    #expect(io.nextCompletion() == IOCompletion(tag: 5, result: 4096))
    #expect(io.nextCompletion() == IOCompletion(tag: 9, result: 0))
    #expect(io.nextCompletion() == nil && io.inFlight == 0)
  }
}
