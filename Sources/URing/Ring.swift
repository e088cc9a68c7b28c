import CLiburing
package import LinuxIO
import SystemPackage

/// A queue of reads and writes that the kernel works on at the same time (io_uring).
///
/// A turn: prepare requests while `freeEntries` is positive, `submitAndWait`, then take
/// completions until there are none. Requests complete in any order, and may be short, as with
/// pread and pwrite. Memory and descriptor must stay valid until the request's completion is
/// taken.
///
/// A ring belongs to the thread that made it: another thread's calls fail, and a ring is not
/// Sendable. When it is dropped, requests that were submitted are waited for first, so that the
/// kernel writes to no memory that is in other hands by then; those only prepared are forgotten.
@safe
package struct Ring: ~Copyable {
  /// How many requests may be in flight.
  package let entries: Int
  /// Requests prepared whose completion was not yet taken.
  package private(set) var inFlight = 0

  /// At an address of its own, since the kernel's rings and liburing know it by its address.
  private let ring: UnsafeMutablePointer<io_uring>
  private var registered: Range<UInt>?

  /// One finished request.
  package struct Completion: Equatable, Sendable {
    /// What the request was prepared with.
    package var tag: UInt64
    /// The bytes transferred, or an error number with its sign turned.
    package var result: Int32

    /// A completion of the request `tag`.
    package init(tag: UInt64, result: Int32) {
      self.tag = tag
      self.result = result
    }
  }

  /// When the kernel works on completions.
  package enum CompletionWork: Sendable, CaseIterable {
    /// When the ring's thread asks for them: SINGLE_ISSUER and DEFER_TASKRUN, Linux 6.1.
    case whenAsked
    /// Whenever it likes: it interrupts the thread.
    case atAnyTime
  }

  /// Makes a ring for at most `entries` requests in flight.
  ///
  /// The kernel works on completions only when this thread asks for them, where it can (Linux
  /// 6.1); else as it likes. Precondition: `entries` is from 1 to 4096. Throws what io_uring_setup
  /// gives; ENOSYS also where the kernel may drop completions (no IORING_FEAT_NODROP, before Linux
  /// 5.5).
  package init(entries: Int) throws(SystemCallError) {
    do throws(SystemCallError) {
      unsafe ring = try Ring.setUp(entries, .whenAsked)
    } catch {
      guard error.errno == .invalidArgument else { throw error }
      unsafe ring = try Ring.setUp(entries, .atAnyTime)
    }
    self.entries = entries
  }

  /// Makes a ring whose completions are worked on as `work` says. EINVAL where the kernel cannot.
  package init(entries: Int, work: CompletionWork) throws(SystemCallError) {
    unsafe ring = try Ring.setUp(entries, work)
    self.entries = entries
  }

  deinit {
    // SAFETY: nothing is touched after this; waitForAll only waits.
    unsafe Ring.waitForAll(ring, submitted: inFlight - Int(io_uring_sq_ready(ring)))
    // SAFETY: nothing is in flight, and nobody else has the pointer.
    unsafe io_uring_queue_exit(ring)
    unsafe ring.deallocate()
  }

  /// How many requests may be prepared now.
  package var freeEntries: Int { entries - inFlight }

  /// Whether a buffer is registered.
  package var hasRegisteredBuffer: Bool { registered != nil }

  /// Registers `memory`, so that requests on parts of it need not look up and pin its pages.
  ///
  /// At most 1 GiB (the kernel's limit, EFAULT above). Pages should be present already. The
  /// memory must stay mapped as long as the ring lives. Precondition: nothing is registered yet,
  /// and `memory` is not empty. Throws what io_uring_register gives: ENOMEM where the user may
  /// not lock that much memory (RLIMIT_MEMLOCK); all requests work without the registration as
  /// well.
  @unsafe
  package mutating func registerBuffer(
    _ memory: UnsafeMutableRawBufferPointer
  ) throws(SystemCallError) {
    precondition(registered == nil, "A ring registers one buffer")
    guard let base = memory.baseAddress, memory.count > 0 else {
      preconditionFailure("An empty buffer cannot be registered")
    }
    var vector = unsafe iovec(iov_base: base, iov_len: memory.count)
    var result: Int32
    repeat {
      // SAFETY: the vector is not kept; the memory is the caller's to keep mapped.
      result = unsafe io_uring_register_buffers(ring, &vector, 1)
    } while result == -EINTR
    if result != 0 { throw SystemCallError(.io_uring_register, result) }
    let start = UInt(bitPattern: base)
    registered = start..<start + UInt(memory.count)
  }

  /// Prepares a read of `memory.count` bytes at `offset`; `tag` comes back with its completion.
  ///
  /// Precondition: `freeEntries` is positive, `memory` at most 2 GiB less a page (what Linux
  /// transfers at once), `offset` at most Int64.max.
  @unsafe
  package mutating func prepareRead(
    descriptor: CInt, into memory: UnsafeMutableRawBufferPointer, offset: UInt64, tag: UInt64
  ) {
    let entry = unsafe nextEntry()
    let count = Ring.length(memory.count)
    let base = memory.baseAddress
    // SAFETY: the entry is free; the memory is the caller's to keep until the completion.
    if unsafe isRegistered(UnsafeRawBufferPointer(memory)) {
      unsafe io_uring_prep_read_fixed(entry, descriptor, base, count, offset, 0)
    } else {
      unsafe io_uring_prep_read(entry, descriptor, base, count, offset)
    }
    unsafe io_uring_sqe_set_data64(entry, tag)
  }

  /// Prepares a write of `memory.count` bytes at `offset`; `tag` comes back with its completion.
  ///
  /// Preconditions as those of `prepareRead`.
  @unsafe
  package mutating func prepareWrite(
    descriptor: CInt, from memory: UnsafeRawBufferPointer, offset: UInt64, tag: UInt64
  ) {
    let entry = unsafe nextEntry()
    let count = Ring.length(memory.count)
    let base = memory.baseAddress
    // SAFETY: the entry is free; the memory is the caller's to keep until the completion.
    if unsafe isRegistered(memory) {
      unsafe io_uring_prep_write_fixed(entry, descriptor, base, count, offset, 0)
    } else {
      unsafe io_uring_prep_write(entry, descriptor, base, count, offset)
    }
    unsafe io_uring_sqe_set_data64(entry, tag)
  }

  /// Hands all prepared requests to the kernel, and waits until at least `minimum` completions
  /// can be taken: those not yet taken count, and where fewer are in flight, all of them are
  /// enough.
  ///
  /// With 0 it does not wait. Interruptions are retried. Where the kernel has no memory for more
  /// requests (EAGAIN, EBUSY) the rest stays prepared; it then returns with at least one
  /// completion, and the next call goes on. Throws what else io_uring_enter gives.
  package mutating func submitAndWait(minimum: Int) throws(SystemCallError) {
    precondition(minimum >= 0, "A count is not negative")
    let wanted = UInt32(min(minimum, inFlight))
    var hungry = 0
    repeat {
      // SAFETY: the ring is open; only this thread uses it.
      let result = unsafe io_uring_submit_and_wait(ring, wanted)
      switch result {
      case 0...: hungry = 0
      case -EINTR: continue
      case -EAGAIN, -EBUSY:
        if try waitForOne() { return }
        // Nothing is in flight that could free memory: try for about a second.
        hungry += 1
        if hungry > 1000 { throw SystemCallError(.io_uring_enter, result) }
        sleep(for: .milliseconds(1))
      default: throw SystemCallError(.io_uring_enter, result)
      }
    } while unsafe io_uring_sq_ready(ring) > 0 || io_uring_cq_ready(ring) < wanted
  }

  /// Takes one completion, if there is one; never waits.
  package mutating func nextCompletion() -> Completion? {
    guard inFlight > 0 else { return nil }
    var entry: UnsafeMutablePointer<io_uring_cqe>?
    // SAFETY: the entry is valid until cq_advance, and is read before.
    guard unsafe io_uring_peek_batch_cqe(ring, &entry, 1) == 1, let entry = unsafe entry else {
      return nil
    }
    let completion = unsafe Completion(tag: entry.pointee.user_data, result: entry.pointee.res)
    unsafe io_uring_cq_advance(ring, 1)
    inFlight -= 1
    return completion
  }
}

extension Ring {
  /// A new ring, in memory of its own.
  private static func setUp(
    _ entries: Int, _ work: CompletionWork
  ) throws(SystemCallError) -> UnsafeMutablePointer<io_uring> {
    precondition((1...4096).contains(entries), "A ring has from 1 to 4096 entries")
    let ring = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
    unsafe ring.initialize(to: io_uring())
    var parameters = io_uring_params()
    if work == .whenAsked {
      parameters.flags =
        UInt32(IORING_SETUP_SINGLE_ISSUER) | UInt32(IORING_SETUP_DEFER_TASKRUN)
        | UInt32(IORING_SETUP_TASKRUN_FLAG) | UInt32(IORING_SETUP_SUBMIT_ALL)
    }
    // SAFETY: `ring` stays where it is until queue_exit; the parameters are not kept.
    var result = unsafe io_uring_queue_init_params(UInt32(entries), ring, &parameters)
    if result == 0, parameters.features & UInt32(IORING_FEAT_NODROP) == 0 {
      unsafe io_uring_queue_exit(ring)
      result = -ENOSYS
    }
    guard result == 0 else {
      unsafe ring.deallocate()
      throw SystemCallError(.io_uring_setup, result)
    }
    // A forked process would keep the ring, with its files and buffers, for as long as it lives (MADV_DONTFORK).
    // SAFETY: the ring is open.
    result = unsafe io_uring_ring_dontfork(ring)
    guard result == 0 else {
      unsafe io_uring_queue_exit(ring)
      unsafe ring.deallocate()
      throw SystemCallError(.madvise, result)
    }
    return unsafe ring
  }

  /// Ends the ring, after waiting for all requests that were submitted.
  ///
  /// The same as dropping it, where the place is to be seen: afterwards the kernel touches no
  /// memory of the requests.
  package consuming func close() {}

  /// A free entry of the submission queue.
  @unsafe
  private mutating func nextEntry() -> UnsafeMutablePointer<io_uring_sqe> {
    precondition(inFlight < entries, "More requests are prepared than the ring has entries")
    // SAFETY: the ring is open. The kernel's queue has at least `entries` places, and no more
    // requests than that are in flight, so it is never full.
    guard let entry = unsafe io_uring_get_sqe(ring) else {
      preconditionFailure("The submission queue is full though requests are counted")
    }
    inFlight += 1
    return unsafe entry
  }

  /// The most that Linux transfers at once: MAX_RW_COUNT, 2 GiB less a page.
  private static func length(_ byteCount: Int) -> UInt32 {
    precondition(byteCount <= 0x7fff_f000, "A request is at most 2 GiB less a page")
    return UInt32(byteCount)
  }

  private func isRegistered(_ memory: UnsafeRawBufferPointer) -> Bool {
    guard let registered, let base = memory.baseAddress else { return false }
    let start = UInt(bitPattern: base)
    return start >= registered.lowerBound && start <= registered.upperBound
      && UInt(memory.count) <= registered.upperBound - start
  }

  /// Waits for a completion without submitting; false where nothing could complete.
  private func waitForOne() throws(SystemCallError) -> Bool {
    // SAFETY: the ring is open; only this thread uses it.
    if unsafe io_uring_cq_ready(ring) > 0 { return true }
    guard inFlight > Int(unsafe io_uring_sq_ready(ring)) else { return false }
    var entry: UnsafeMutablePointer<io_uring_cqe>?
    while true {
      let result = unsafe io_uring_wait_cqe(ring, &entry)
      if result == 0 { return true }
      if result != -EINTR { throw SystemCallError(.io_uring_enter, result) }
    }
  }

  /// Takes `submitted` completions, waiting for them.
  private static func waitForAll(_ ring: UnsafeMutablePointer<io_uring>, submitted: Int) {
    var remaining = submitted
    while remaining > 0 {
      var entry: UnsafeMutablePointer<io_uring_cqe>?
      // SAFETY: the ring is open; only this thread uses it.
      let result = unsafe io_uring_wait_cqe(ring, &entry)
      if result == -EINTR || result == -EAGAIN { continue }
      // Going on would let the kernel write to memory that is in other hands.
      precondition(result == 0, "Requests in flight cannot be waited for")
      let ready = unsafe io_uring_cq_ready(ring)
      unsafe io_uring_cq_advance(ring, ready)
      remaining -= Int(ready)
    }
  }
}

extension SystemCallError {
  /// An error of the ring from liburing's `result`, an error number with its sign turned.
  fileprivate init(_ call: SystemCall, _ result: Int32) {
    self.init(call: call, errno: Errno(rawValue: -result), subject: .ring)
  }
}
