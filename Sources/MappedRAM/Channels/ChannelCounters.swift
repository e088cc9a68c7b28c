import Synchronization

/// What the channels have done; each adds, anyone may look.
final class ChannelCounters: Sendable {
  let progress: Progress
  private let bytesRead = Atomic<UInt64>(0)
  private let bytesWritten = Atomic<UInt64>(0)
  private let directRequests = Atomic<UInt64>(0)
  private let bufferedRequests = Atomic<UInt64>(0)

  init(progress: Progress) { self.progress = progress }

  /// Counts a request made.
  func countRequest(isDirect: Bool) {
    if isDirect {
      directRequests.wrappingAdd(1, ordering: .relaxed)
    } else {
      bufferedRequests.wrappingAdd(1, ordering: .relaxed)
    }
  }

  /// Counts bytes that a request moved.
  func moved(_ count: Int, isRead: Bool) {
    if isRead {
      bytesRead.wrappingAdd(UInt64(count), ordering: .relaxed)
    } else {
      bytesWritten.wrappingAdd(UInt64(count), ordering: .relaxed)
      progress.write(UInt64(count))
    }
  }

  /// Counts bytes of a piece that is done, whatever became of them.
  func finish(_ count: Int) { progress.finish(UInt64(count)) }

  /// What was counted so far.
  var totals: TransferTotals {
    TransferTotals(
      bytesRead: bytesRead.load(ordering: .relaxed),
      bytesWritten: bytesWritten.load(ordering: .relaxed),
      directRequests: directRequests.load(ordering: .relaxed),
      bufferedRequests: bufferedRequests.load(ordering: .relaxed))
  }
}

/// How much was moved, and in how many requests.
public struct TransferTotals: Equatable, Sendable {
  /// Bytes that came from files or were copied from memory.
  public var bytesRead: UInt64
  /// Bytes that went to files or were copied to memory.
  public var bytesWritten: UInt64
  /// Requests that bypassed the page cache.
  public var directRequests: UInt64
  /// Requests through the page cache.
  public var bufferedRequests: UInt64
}
