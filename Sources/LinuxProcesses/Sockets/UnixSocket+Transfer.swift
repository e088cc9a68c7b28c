import CLinux
import Glibc
package import LinuxIO
import SystemPackage

extension UnixSocket {
  /// How many descriptors one call can pass.
  package static let descriptorLimit = Int(CLinux_MESSAGE_DESCRIPTORS)

  /// Sends all of `bytes`, the first of them with `descriptors`, which stay the caller's.
  ///
  /// Preconditions: there are at most `descriptorLimit` descriptors, and bytes to go with them.
  ///
  /// Throws what sendmsg(2) gives: EPIPE where the peer is gone, ETIMEDOUT (of poll) where it does
  /// not read and `deadline` passes; then some bytes may have been sent.
  package func send(
    _ bytes: [UInt8], passing descriptors: [CInt] = [], deadline: ContinuousClock.Instant
  ) throws(SystemCallError) {
    precondition(descriptors.count <= Self.descriptorLimit, "More descriptors than one call passes")
    precondition(descriptors.isEmpty || !bytes.isEmpty, "Descriptors travel with bytes alone")
    var sent = 0
    while sent < bytes.count {
      let passed = sent == 0 ? descriptors : []
      // SAFETY: both arrays live for the call, and the counts are theirs.
      let result = unsafe bytes.withUnsafeBytes { all in
        unsafe passed.withUnsafeBufferPointer { numbers in
          unsafe CLinux_sendMessage(
            descriptor, all.baseAddress.map { unsafe $0 + sent }, all.count - sent,
            numbers.baseAddress, UInt32(numbers.count))
        }
      }
      if result == -Int64(EAGAIN) {
        guard try waitUntilReady(forWriting: true, deadline: deadline) else {
          throw SystemCallError(call: .poll, errno: .timedOut, subject: .socket(path))
        }
      } else if result != -Int64(EINTR) {
        try check(Int32(clamping: result), .sendmsg, .socket(path))
        sent += Int(result)
      }
    }
  }

  /// Waits for bytes and appends to `buffer` what is there, at most `limit` bytes.
  ///
  /// What is there is received also when `deadline` has passed: who calls this again and again has to end some time, or a peer that
  /// always sends more keeps it. Descriptors that come with them are dropped by the kernel.
  ///
  /// - Returns: the number of bytes, 0 at the peer's end; `nil` if `deadline` passes first.
  /// - Throws: what recvmsg(2) gives.
  package func receive(
    into buffer: inout [UInt8], limit: Int = 1 << 16, deadline: ContinuousClock.Instant
  ) throws(SystemCallError) -> Int? {
    // SAFETY: no descriptors are asked for, so the two null pointers are not used.
    try unsafe receive(into: &buffer, limit: limit, deadline: deadline) { bytes in
      unsafe CLinux_receiveMessage(descriptor, bytes.baseAddress, bytes.count, nil, nil)
    }
  }

  /// Waits for bytes as `receive(into:limit:deadline:)`, and gives each descriptor that comes with
  /// them to `adopt`.
  ///
  /// A peer may send more than one call takes (`descriptorLimit`); the kernel closes the rest.
  package func receive(
    into buffer: inout [UInt8], limit: Int = 1 << 16, deadline: ContinuousClock.Instant,
    descriptors adopt: (consuming OwnedDescriptor) -> Void
  ) throws(SystemCallError) -> Int? {
    var numbers = [CInt](repeating: -1, count: Self.descriptorLimit)
    var count: UInt32 = 0
    let received = try unsafe receive(into: &buffer, limit: limit, deadline: deadline) { bytes in
      // SAFETY: the array has the room that the call may fill; nothing is kept.
      unsafe numbers.withUnsafeMutableBufferPointer {
        unsafe CLinux_receiveMessage(
          descriptor, bytes.baseAddress, bytes.count, $0.baseAddress, &count)
      }
    }
    for number in numbers.prefix(Int(count)) { adopt(OwnedDescriptor(owning: number)) }
    return received
  }

  /// Calls `call` on `limit` bytes until it gives some or the end, and appends them to `buffer`.
  private func receive(
    into buffer: inout [UInt8], limit: Int, deadline: ContinuousClock.Instant,
    _ call: (UnsafeMutableRawBufferPointer) -> Int64
  ) throws(SystemCallError) -> Int? {
    precondition(limit > 0, "No room to receive into")
    while true {
      // SAFETY: the memory is used only here; what is read of it is what `call` has filled.
      let result = unsafe withUnsafeTemporaryAllocation(byteCount: limit, alignment: 16) { bytes in
        let result = unsafe call(bytes)
        if result > 0 {
          unsafe buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[..<Int(result)]))
        }
        return result
      }
      if result == -Int64(EAGAIN) {
        guard try waitUntilReady(forWriting: false, deadline: deadline) else { return nil }
      } else if result != -Int64(EINTR) {
        try check(Int32(clamping: result), .recvmsg, .socket(path))
        return Int(result)
      }
    }
  }

  /// Waits until the socket can be read (or written) or is broken. Whether it is, at `deadline` at
  /// the latest.
  private func waitUntilReady(
    forWriting: Bool, deadline: ContinuousClock.Instant
  ) throws(SystemCallError) -> Bool {
    while true {
      let left = ContinuousClock.now.duration(to: deadline)
      let result = CLinux_waitReady(descriptor, forWriting ? 1 : 0, left.pollMilliseconds)
      if result > 0 { return true }
      if result != -EINTR { try check(result, .poll, .socket(path)) }
      if ContinuousClock.now >= deadline { return false }
    }
  }
}

/// For a stream of which it has to be known at each moment how far it is.
extension UnixSocket {
  /// Receives what is there, without waiting.
  ///
  /// - Returns: the number of bytes, 0 at the peer's end; `nil` where there are none now.
  /// - Throws: what recvmsg(2) gives.
  package func receiveNow(
    into bytes: UnsafeMutableRawBufferPointer
  ) throws(SystemCallError) -> Int? {
    unsafe precondition(!bytes.isEmpty, "No room to receive into")
    while true {
      // SAFETY: the memory is the caller's; no descriptors are asked for, so the two null pointers are not used.
      let result = unsafe CLinux_receiveMessage(
        descriptor, bytes.baseAddress, bytes.count, nil, nil)
      if result == -Int64(EAGAIN) { return nil }
      if result == -Int64(EINTR) { continue }
      try check(Int32(clamping: result), .recvmsg, .socket(path))
      return Int(result)
    }
  }

  /// Bytes that the peer has sent, and that were not received yet.
  ///
  /// - Throws: what ioctl(2) gives.
  package func queuedByteCount() throws(SystemCallError) -> Int {
    let result = CLinux_queuedBytes(descriptor)
    try check(Int32(clamping: result), .ioctl, .socket(path))
    return Int(result)
  }

  /// Lets `byteCount` bytes that are sent here wait for the peer, as far as the system permits.
  ///
  /// - Throws: what setsockopt(2) gives.
  package func setSendBuffer(byteCount: Int32) throws(SystemCallError) {
    try check(CLinux_setSendBuffer(descriptor, byteCount), .setsockopt, .socket(path))
  }
}
