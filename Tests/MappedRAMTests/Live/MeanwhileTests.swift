import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// A file that is copied by calls, as another process's memory is.
struct CopiedFile: PageSource, CopyingSource {
  var file: File
  var byteCount: UInt64
  var readAccess: SourceAccess { .copy(self) }

  func copy(
    into buffer: UnsafeMutableRawBufferPointer, from offset: UInt64
  ) throws(SystemCallError) {
    _ = try unsafe file.read(into: buffer, at: offset)
  }
}

/// Live saves of shared memory, and of memory that somebody writes to while it is read.
@Suite struct MeanwhileTests {
  /// How the memory is read.
  enum Way: CaseIterable {
    case mapped, file, process

    /// The first `byteCount` bytes of `file`, read so.
    func pages(of file: File, _ byteCount: UInt64) throws -> any PageSource {
      let pages = try FilePages(file, startingAt: 0, byteCount: byteCount)
      return switch self {
      case .mapped: try MappedPages(pages)
      case .file: pages
      case .process: CopiedFile(file: file, byteCount: byteCount)
      }
    }
  }

  static let pageCount = 1200

  private func plan(_ file: File, _ way: Way) throws -> SavePlan {
    let byteCount = Self.pageCount * 4096
    let block = try RAMBlock(
      idstr: "ram", usedLength: ByteCount(byteCount), pageSize: .fourKiB)
    let source = try way.pages(of: file, UInt64(byteCount))
    return try SavePlan(
      prologue: StreamPrologue(configuration: TestGuest.configuration),
      blocks: [SavePlan.Block(block, pages: source)], tail: [.bytes(TestGuest.tail)], for: "plan")
  }

  private func memory() throws -> File {
    try File.inMemory(name: "guest", byteCount: UInt64(Self.pageCount) * 4096)
  }

  /// A thread writes to random places, pages of zeros among them, until the last round. Then the image has what is there.
  @Test(arguments: Way.allCases, LiveSaveTests.shapes)
  func aGuestMayWriteAtAnyTime(_ way: Way, _ options: ChannelOptions) throws {
    let test = try LiveSaveTests()
    let file = try memory()
    let guest = Guest()
    let thread = try PosixThread<Void, any Error>(name: "guest") { try guest.run(in: file) }
    let plan = try plan(file, way)
    var save: OngoingSave
    do {
      defer { guest.stop() }
      save = try ImageSave(plan, options: options).begin(
        to: test.path, live: LiveSaveTests.rounds(1))
      for _ in 0..<4 {
        // However busy the machine is: the guest has written before each round, and does not stop for it.
        guest.waitForWrites(200)
        try save.runRounds()
      }
    }
    try thread.join()
    let report = try #require(try save.writePages(plan).finish().live)
    for round in report.rounds { #expect(round.changedBytes > 0) }
    let contents = try file.readBytes(at: 0, count: Self.pageCount * 4096)
    #expect(try restoreToMemory(test.path, options: options) == [contents])
    try expectNoStaleSlots(test.path)
  }

  /// Writes until it is stopped, and counts.
  private final class Guest: Sendable {
    private struct State {
      var writes = 0
      /// An end by an error counts as well: nobody waits for more then.
      var isOver = false
    }

    private let state = Monitor(State())

    func run(in file: File) throws {
      defer { stop() }
      var generator = SeededGenerator()
      while !state.withLock(wakesWaiters: false, { $0.isOver }) {
        let page = UInt64.random(in: 0..<UInt64(MeanwhileTests.pageCount), using: &generator) * 4096
        if Int.random(in: 0..<4, using: &generator) == 0 {
          try file.write([UInt8](repeating: 0, count: 4096), at: page)
        } else {
          try file.write(
            generator.bytes(64), at: page + .random(in: 0..<63, using: &generator) * 64)
        }
        state.withLock { $0.writes += 1 }
      }
    }

    func stop() { state.withLock { $0.isOver = true } }

    /// Waits for `count` more writes.
    func waitForWrites(_ count: Int) {
      let target = state.withLock(wakesWaiters: false) { $0.writes } + count
      state.wait { $0.isOver || $0.writes >= target ? () : nil }
    }
  }

  private func expectNoStaleSlots(_ path: FilePath) throws {
    let file = try File.open(path, access: .read, directIO: .off)
    let block = try #require(try Image(reading: file).blocks.first)
    let present = try #require(try block.readBitmap(from: file))
    let slots = try #require(block.layout.pages)
    for page in 0..<present.pageCount where !present[page] {
      let bytes = try file.readBytes(
        at: slots.lowerBound.rawValue + UInt64(page) * 4096, count: 4096)
      #expect(bytes.allSatisfy { $0 == 0 }, "page \(page)")
    }
  }

  /// Each way that a page can go in three rounds: a hole, zeros, one content, another one.
  @Test(arguments: Way.allCases)
  func everyWayOfAPage(_ way: Way) throws {
    let test = try LiveSaveTests()
    let file = try memory()
    let plan = try plan(file, way)
    func put(_ round: Int) throws {
      for page in 0..<192 {
        let content = page / [1, 4, 16][round] % 4
        let range = UInt64(page * 4096)..<UInt64((page + 1) * 4096)
        guard content > 0 else {
          try file.punchHole(range)
          continue
        }
        try file.write([UInt8](repeating: UInt8(content - 1), count: 4096), at: range.lowerBound)
      }
    }
    try put(0)
    var save = try ImageSave(plan).begin(to: test.path, live: LiveSaveTests.rounds(1))
    try save.runRounds()
    try put(1)
    try save.runRounds()
    try put(2)
    let finished = try save.writePages(plan).finish()
    let report = try #require(finished.live)
    let contents = try file.readBytes(at: 0, count: Self.pageCount * 4096)
    #expect(try restoreToMemory(test.path) == [contents])
    try expectNoStaleSlots(test.path)
    // A hole and zeros are the same.
    let ways = (0..<192).map { page in [1, 4, 16].map { max(page / $0 % 4 - 1, 0) } }
    let written = [report.rounds[0], report.rounds[1], report.lastRound].map(\.changedBytes)
    let expected = (0..<3).map { round in
      ways.count { $0[round] != 0 && (round == 0 || $0[round] != $0[round - 1]) }
    }
    #expect(written == expected.map { UInt64($0) * 4096 })
  }
}
