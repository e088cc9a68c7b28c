import Glibc
import SystemPackage

extension File {
  /// Fills `memory` with the bytes from `offset` on, through the page cache, or past it where that is asked for and can be.
  ///
  /// Reads on after short reads and interruptions, and gives the number of bytes read: fewer than
  /// `memory` holds only where the file ends. Throws what pread gives; the error's range
  /// is the part that was still missing.
  @discardableResult
  @unsafe
  package func read(
    into memory: UnsafeMutableRawBufferPointer, at offset: UInt64, pastCache: Bool = false
  ) throws(SystemCallError) -> Int {
    let first = try signedRange(offset, memory.count, .pread)
    var done = 0
    while done < memory.count {
      let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[done...])
      let number =
        pastCache
        ? unsafe descriptor(for: UnsafeRawBufferPointer(rest), at: offset + UInt64(done))
        : buffered.rawValue
      // SAFETY: the rest of `memory` is the caller's for the time of the call.
      let got = try retryingInterrupted(.pread, missing(offset, done, memory.count)) {
        unsafe pread(number, rest.baseAddress, rest.count, first + off_t(done))
      }
      if got == 0 { break }
      done += got
    }
    return done
  }

  /// The `count` bytes from `offset` on, or fewer where the file ends.
  ///
  /// Allocates `count` bytes, whatever the file's size: check a count that comes from a file first.
  package func readBytes(at offset: UInt64, count: Int) throws(SystemCallError) -> [UInt8] {
    // The standard library writes to the empty array that all share where the capacity is 0 (Swift 6.3.1): the thread
    // sanitizer rightly calls that a race.
    guard count > 0 else { return [] }
    var outcome: Result<Int, SystemCallError> = .success(0)
    // SAFETY: `buffer` has `count` bytes; what is said to be initialized is what was read.
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(SystemCallError) {
        initialized = try unsafe read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
      } catch {
        outcome = .failure(error)
      }
    }
    _ = try outcome.get()
    return bytes
  }

  /// Writes all of `bytes` from `offset` on, through the page cache.
  ///
  /// Writes on after short writes and interruptions. Throws what pwrite gives; the error's range is
  /// the part that was not written.
  @unsafe
  package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(SystemCallError) {
    let first = try signedRange(offset, bytes.count, .pwrite)
    var done = 0
    while done < bytes.count {
      // SAFETY: the rest of `bytes` is valid for the time of the call.
      let put = try retryingInterrupted(.pwrite, missing(offset, done, bytes.count)) {
        unsafe pwrite(
          buffered.rawValue, bytes.baseAddress?.advanced(by: done), bytes.count - done,
          first + off_t(done))
      }
      if put == 0 {
        throw SystemCallError(
          call: .pwrite, errno: .ioError, subject: missing(offset, done, bytes.count))
      }
      done += put
    }
  }

  /// Writes all of `bytes` from `offset` on, through the page cache.
  ///
  /// Throws as the other `write`.
  package func write(_ bytes: RawSpan, at offset: UInt64) throws(SystemCallError) {
    let outcome: Result<Void, SystemCallError> = unsafe bytes.withUnsafeBytes { buffer in
      // SAFETY: the span's memory is valid in this closure, and is not kept.
      do throws(SystemCallError) {
        return .success(try unsafe write(buffer, at: offset))
      } catch {
        return .failure(error)
      }
    }
    try outcome.get()
  }

  /// Writes all of `bytes` from `offset` on, through the page cache.
  ///
  /// Throws as the other `write`.
  package func write(_ bytes: [UInt8], at offset: UInt64) throws(SystemCallError) {
    // SAFETY: a UInt8 has no padding, so each of the bytes has a value.
    try write(unsafe bytes.span.bytes, at: offset)
  }

  /// `offset` for the kernel, where the whole range fits a signed 64-bit number.
  private func signedRange(
    _ offset: UInt64, _ count: Int, _ call: SystemCall
  ) throws(SystemCallError) -> off_t {
    let (end, overflows) = offset.addingReportingOverflow(UInt64(count))
    guard !overflows, end <= UInt64(off_t.max) else {
      throw SystemCallError(
        call: call, errno: .overflow, subject: .range(path, offset..<UInt64.max))
    }
    return off_t(offset)
  }

  private func missing(_ offset: UInt64, _ done: Int, _ count: Int) -> SystemCallError.Subject {
    .range(path, offset + UInt64(done)..<offset + UInt64(count))
  }
}
