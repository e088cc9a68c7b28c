import CLinux
package import LinuxIO
import SystemPackage

/// The memory of another process, read and written by process_vm_readv(2) and process_vm_writev(2).
///
/// Needs the right to trace the process: root or CAP_SYS_PTRACE, or the same user where kernel.yama.ptrace_scope is 0 or the
/// process is a descendant.
package struct ProcessMemory: Equatable, Sendable {
  /// The process.
  package let processID: Int32

  /// The memory of process `processID`, which is not looked at yet.
  package init(of processID: Int32) { self.processID = processID }

  /// Fills `buffer` with the bytes at `address`.
  ///
  /// - Throws: EPERM without the right, ESRCH where the process is gone, EFAULT where it has no memory there. The error's
  ///   range is what was still missing.
  package func read(
    into buffer: UnsafeMutableRawBufferPointer, from address: UInt64
  ) throws(SystemCallError) {
    try transfer(.process_vm_readv, address, buffer.count) { done in
      // SAFETY: the rest of the buffer; the other process's addresses are checked by the kernel.
      unsafe CLinux_readProcess(
        processID, buffer.baseAddress?.advanced(by: done), address + UInt64(done),
        buffer.count - done)
    }
  }

  /// Puts the bytes of `buffer` at `address`. Memory that was never touched is made for it.
  ///
  /// - Throws: as `read`; EFAULT also where the process itself may not write.
  package func write(
    from buffer: UnsafeRawBufferPointer, to address: UInt64
  ) throws(SystemCallError) {
    try transfer(.process_vm_writev, address, buffer.count) { done in
      // SAFETY: as above.
      unsafe CLinux_writeProcess(
        processID, buffer.baseAddress?.advanced(by: done), address + UInt64(done),
        buffer.count - done)
    }
  }

  /// Tries to read the byte at `address`.
  ///
  /// - Throws: as `read`.
  package func probe(_ address: UInt64) throws(SystemCallError) {
    var byte: UInt8 = 0
    // SAFETY: one byte of this function's own.
    try unsafe withUnsafeMutableBytes(of: &byte) { (buffer) throws(SystemCallError) in
      try unsafe read(into: buffer, from: address)
    }
  }

  /// Calls `body` until all bytes have gone over: a call ends early at the border of a mapping.
  private func transfer(
    _ call: SystemCall, _ address: UInt64, _ byteCount: Int, _ body: (Int) -> Int64
  ) throws(SystemCallError) {
    let (end, isTooFar) = address.addingReportingOverflow(UInt64(byteCount))
    guard !isTooFar else {
      throw SystemCallError(
        call: call, errno: .badAddress, subject: .processMemory(processID, address..<UInt64.max))
    }
    var done = 0
    while done < byteCount {
      let result = body(done)
      guard result > 0 else {
        let errno = result == 0 ? Errno.badAddress : Errno(rawValue: Int32(-result))
        if errno == .interrupted { continue }
        throw SystemCallError(
          call: call, errno: errno,
          subject: .processMemory(processID, (address + UInt64(done))..<end))
      }
      done += Int(result)
    }
  }
}
