import Synchronization

/// How far a save or restore is. Any thread may look at any time.
public final class Progress: Sendable {
  private let total = Atomic<UInt64>(0)
  private let done = Atomic<UInt64>(0)
  private let moved = Atomic<UInt64>(0)

  /// Nothing is planned yet.
  public init() {}

  /// Bytes of guest memory that have to be looked at.
  public var totalBytes: UInt64 { total.load(ordering: .relaxed) }
  /// Bytes of guest memory that have been dealt with, zeros included.
  public var doneBytes: UInt64 { done.load(ordering: .relaxed) }
  /// Bytes written so far.
  public var writtenBytes: UInt64 { moved.load(ordering: .relaxed) }

  /// Says how far work is that somebody else does, like QEMU. Not for work of this library's engine.
  public func report(totalBytes: UInt64, doneBytes: UInt64, writtenBytes: UInt64) {
    total.store(totalBytes, ordering: .relaxed)
    done.store(doneBytes, ordering: .relaxed)
    moved.store(writtenBytes, ordering: .relaxed)
  }

  func plan(_ bytes: UInt64) { total.wrappingAdd(bytes, ordering: .relaxed) }
  func finish(_ bytes: UInt64) { done.wrappingAdd(bytes, ordering: .relaxed) }
  func write(_ bytes: UInt64) { moved.wrappingAdd(bytes, ordering: .relaxed) }
}
