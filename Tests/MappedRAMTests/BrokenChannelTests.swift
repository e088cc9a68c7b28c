import LinuxIO
import Synchronization
import TestSupport
import Testing

@testable import MappedRAM

/// Channels whose I/O itself fails, as where io_uring_enter does: requests are under way then that nobody can wait for but the ring
/// when it goes.
@Suite struct BrokenChannelTests {
  private enum Event: Equatable { case ioIsGone, transferIsGone }

  /// The bytes of a mapping, written to a file where they are.
  private final class Writing: Transfer {
    let source: SourceAccess
    let target: TargetAccess
    let extentCount = 64
    private let onEnd: @Sendable () -> Void

    init(_ mapping: Mapping, to file: File, onEnd: @escaping @Sendable () -> Void) {
      source = .mapping(mapping)
      target = .file(file)
      self.onEnd = onEnd
    }

    deinit { onEnd() }

    func extent(_ index: Int) -> Extent {
      Extent(
        sourceOffset: UInt64(index) << 16, targetOffset: UInt64(index) << 16, byteCount: 1 << 16)
    }

    func chooseReads(of extent: Extent, into runs: inout [Run]) throws(SystemCallError) {
      runs.append(0..<extent.byteCount)
    }

    func chooseWrites(
      of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run],
      into runs: inout [Run]
    ) {
      runs.append(0..<extent.byteCount)
    }
  }

  /// What requests read from is there until they have ended, and nobody is told before that all is over.
  @Test(arguments: 1...6) func claimsAreKeptUntilAllRequestsHaveEnded(_ brokenWait: Int) throws {
    let events = Monitor<[Event]>([])
    let note: @Sendable (Event) -> Void = { event in events.withLock { $0.append(event) } }
    let faults = Faults(brokenWait: brokenWait, onEnd: { note(.ioIsGone) })
    let file = try File.inMemory(name: "target", byteCount: 4 << 20)
    let pool = try ChannelPool(
      ChannelOptions(channels: 1, queueDepth: 4, requestBytes: 64 << 10), extentBytes: 1 << 16,
      factory: FaultyFactory(faults: faults), progress: TransferProgress(),
      cancellation: Cancellation())
    pool.enqueue(
      Writing(
        try Mapping(anonymousByteCount: 4 << 20), to: file, onEnd: { note(.transferIsGone) }))
    #expect {
      try pool.sync()
    } throws: { error in
      guard case ImageError.system(let error) = error else { return false }
      return error.call == .io_uring_enter
    }
    #expect(events.withLock { $0 } == [.ioIsGone, .transferIsGone])
  }
}
