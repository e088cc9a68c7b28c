import LinuxIO
import SystemPackage
import TestSupport

@testable import MappedRAM

/// What goes wrong, and when. Shared by all channels of a pool.
final class Faults: Sendable {
  /// What happens to a request.
  enum Fault: Sendable {
    case none
    /// Only a part is moved.
    case short
    /// Nothing is moved, and this is the error.
    case error(Errno)
    /// Nothing is moved and nothing is said: the end of a file, or a device that is full.
    case nothing
  }

  private let state: Monitor<(generator: SeededGenerator, count: Int)>
  private let choose: @Sendable (_ number: Int, _ isRead: Bool, inout SeededGenerator) -> Fault
  private let log = Monitor<[Write]>([])

  /// A write that was carried out, for comparison with a literal list.
  struct Write: Hashable, Comparable, CustomStringConvertible {
    var offset: UInt64
    var count: Int
    var description: String { "\(offset)+\(count)" }
    static func < (left: Write, right: Write) -> Bool { left.offset < right.offset }
  }

  /// From which call on the kernel refuses to let requests begin and to wait for them, the first being 1; `nil` for never.
  let brokenWait: Int?
  /// Told once the I/O is gone, with all requests that were under way.
  let onEnd: @Sendable () -> Void

  init(
    seed: UInt64 = SeededGenerator.seedOfRun,
    _ choose: @escaping @Sendable (Int, Bool, inout SeededGenerator) -> Fault = { _, _, _ in .none }
  ) {
    state = Monitor((SeededGenerator(seed: seed), 0))
    self.choose = choose
    brokenWait = nil
    onEnd = {}
  }

  /// No request goes wrong, but from `brokenWait` on the ring does.
  init(brokenWait: Int, onEnd: @escaping @Sendable () -> Void) {
    state = Monitor((SeededGenerator(), 0))
    choose = { _, _, _ in .none }
    self.brokenWait = brokenWait
    self.onEnd = onEnd
  }

  /// Fault for the next request, and a random number for whatever else has to be decided.
  func next(isRead: Bool) -> (fault: Fault, random: UInt64) {
    state.withLock { state in
      state.count += 1
      return (choose(state.count, isRead, &state.generator), state.generator.next())
    }
  }

  func random(below count: Int) -> Int {
    state.withLock { Int.random(in: 0..<count, using: &$0.generator) }
  }

  var requestCount: Int { state.withLock { $0.count } }

  func note(_ write: Write) { log.withLock { $0.append(write) } }

  /// All writes, by offset.
  var writes: [Write] { log.withLock { $0.sorted() } }
}

/// A channel's I/O that carries out each request only when its completion is handed out, in random order, and lets some go
/// wrong. An engine that reuses a buffer too early moves wrong bytes here.
struct FaultyIO: ChannelIO, ~Copyable {
  private struct Pending {
    var tag: Int
    var result: () -> Int
  }

  let capacity: Int
  private let faults: Faults
  private var pending: [Pending] = []
  private var waits = 0

  init(capacity: Int, faults: Faults) {
    self.capacity = capacity
    self.faults = faults
  }

  var inFlight: Int { pending.count }

  mutating func read(
    _ file: File, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, tag: Int
  ) {
    let faults = faults
    append(tag) {
      let (fault, random) = faults.next(isRead: true)
      return Self.outcome(fault, count: buffer.count, random) { count in
        let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        do { return try unsafe file.read(into: part, at: offset) } catch { return -5 }
      }
    }
  }

  mutating func write(
    _ file: File, from buffer: UnsafeRawBufferPointer, at offset: UInt64, tag: Int
  ) {
    let faults = faults
    append(tag) {
      let (fault, random) = faults.next(isRead: false)
      return Self.outcome(fault, count: buffer.count, random) { count in
        let part = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<count])
        do { try unsafe file.write(part, at: offset) } catch { return -5 }
        faults.note(Faults.Write(offset: offset, count: count))
        return count
      }
    }
  }

  private mutating func append(_ tag: Int, _ result: @escaping () -> Int) {
    precondition(pending.count < capacity, "the engine keeps to the capacity")
    pending.append(Pending(tag: tag, result: result))
  }

  private static func outcome(
    _ fault: Faults.Fault, count: Int, _ random: UInt64, _ move: (Int) -> Int
  ) -> Int {
    switch fault {
    case .none: move(count)
    case .short: move(max(1, Int(random % UInt64(count))))
    case .error(let errno): -Int(errno.rawValue)
    case .nothing: 0
    }
  }

  mutating func submit() throws(SystemCallError) { try enter() }

  mutating func wait() throws(SystemCallError) {
    precondition(!pending.isEmpty, "the engine waits only for what is under way")
    try enter()
  }

  private mutating func enter() throws(SystemCallError) {
    waits += 1
    guard let broken = faults.brokenWait, waits >= broken else { return }
    throw SystemCallError(call: .io_uring_enter, errno: .badAddress, subject: .ring)
  }

  consuming func close() {}

  /// As a ring: what is under way is carried out first, and takes its time.
  deinit {
    if !pending.isEmpty { sleep(for: .milliseconds(20)) }
    for request in pending { _ = request.result() }
    faults.onEnd()
  }

  mutating func nextCompletion() -> IOCompletion? {
    guard !pending.isEmpty else { return nil }
    let request = pending.remove(at: faults.random(below: pending.count))
    return IOCompletion(tag: request.tag, result: request.result())
  }
}

/// Makes faulty I/O.
struct FaultyFactory: ChannelIOFactory {
  var faults: Faults

  func runChannel(_ parts: ChannelParts) throws(SystemCallError) {
    parts.runChannel(FaultyIO(capacity: parts.shape.queueDepth, faults: faults))
  }
}

/// I/O that cannot be had.
struct RefusingFactory: ChannelIOFactory {
  func runChannel(_ parts: ChannelParts) throws(SystemCallError) {
    throw SystemCallError(call: .io_uring_setup, errno: .notPermitted, subject: .ring)
  }
}
