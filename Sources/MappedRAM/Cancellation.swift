import Synchronization

/// Asks running work to stop. Any thread, or a signal's, may do so at any time.
public final class Cancellation: Sendable {
  private let flag = Atomic<Bool>(false)

  /// Nothing has been asked yet.
  public init() {}

  /// Whether work is to stop.
  public var isCancelled: Bool { flag.load(ordering: .relaxed) }

  /// Asks for the stop: channels stop at their next request, and nothing is left behind.
  public func cancel() { flag.store(true, ordering: .relaxed) }

  /// Throws if a stop was asked for.
  package func check() throws(ImageError) {
    if isCancelled { throw .cancelled }
  }
}
