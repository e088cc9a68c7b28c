import CLinux
import Glibc
package import LinuxIO
package import SystemPackage

/// One end of a pipe, a FIFO, or whatever else bytes come out of or go into one after the other.
///
/// No call blocks for ever: each waits for the descriptor and for a stop signal at the same time.
package struct PipeEnd: ~Copyable, Sendable {
  /// What it is called in errors.
  package let path: FilePath
  private let owned: OwnedDescriptor

  /// Takes over `descriptor`, and makes it non-blocking.
  package init(_ descriptor: consuming OwnedDescriptor, path: FilePath) {
    let number = descriptor.rawValue
    _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
    owned = descriptor
    self.path = path
  }

  /// Opens `path` for reading: a FIFO without a writer yet, too.
  ///
  /// Throws what openat gives.
  package init(reading path: FilePath) throws(SystemCallError) {
    self.init(try openDescriptor(path, flags: O_RDONLY | O_NONBLOCK), path: path)
  }

  /// Opens `path` for writing; waits for the first reader of a FIFO. Nil where the signal was raised before.
  ///
  /// Throws what openat gives.
  package static func open(
    writing path: FilePath, until stop: StopSignal
  ) throws(SystemCallError) -> PipeEnd? {
    while true {
      do throws(SystemCallError) {
        return PipeEnd(try openDescriptor(path, flags: O_WRONLY | O_NONBLOCK), path: path)
      } catch {
        // A FIFO without a reader (open(2)). Nothing tells when one comes.
        guard error.errno == .noSuchAddressOrDevice else { throw error }
      }
      guard try stop.wait(for: [], milliseconds: 20) != nil else { return nil }
    }
  }

  /// The descriptor, valid as long as the value lives.
  package var descriptor: CInt { owned.rawValue }

  /// Whether it is a regular file.
  package var isRegular: Bool {
    (try? status(of: owned.rawValue, path))?.type == .regular
  }

  /// Reads what is there, at least a byte; 0 at the end, nil where the signal was raised before.
  ///
  /// Throws what read and poll give.
  package func readSome(
    into memory: UnsafeMutableRawBufferPointer, until stop: StopSignal
  ) throws(SystemCallError) -> Int? {
    while try stop.wait(for: descriptor, events: POLLIN) {
      do throws(SystemCallError) {
        return try retryingInterrupted(.read, .file(path)) {
          // SAFETY: the memory is the caller's for the time of the call.
          unsafe read(descriptor, memory.baseAddress, memory.count)
        }
      } catch {
        guard error.errno == .resourceTemporarilyUnavailable else { throw error }
      }
    }
    return nil
  }

  /// Writes some of the bytes; nil where the signal was raised before. SIGPIPE must be ignored or blocked.
  ///
  /// Throws what write and poll give: EPIPE where no process reads any more.
  package func writeSome(
    _ memory: UnsafeRawBufferPointer, until stop: StopSignal
  ) throws(SystemCallError) -> Int? {
    while try stop.wait(for: descriptor, events: POLLOUT) {
      do throws(SystemCallError) {
        return try retryingInterrupted(.write, .file(path)) {
          // SAFETY: as in `readSome`.
          unsafe write(descriptor, memory.baseAddress, memory.count)
        }
      } catch {
        guard error.errno == .resourceTemporarilyUnavailable else { throw error }
      }
    }
    return nil
  }

  /// Lets a pipe or FIFO hold `byteCount` bytes, if it holds fewer and the kernel allows it (fcntl(2), F_SETPIPE_SZ): the two ends
  /// then take turns less often. Does nothing to anything else.
  ///
  /// Users without CAP_SYS_RESOURCE have a limit for one pipe, and one for all of theirs (pipe(7), pipe-max-size and
  /// pipe-user-pages-soft): beyond them the pipe stays as it is.
  package func widen(to byteCount: Int) {
    // F_GETPIPE_SZ and F_SETPIPE_SZ of linux/fcntl.h, which the Glibc module does not have.
    let (get, set): (CInt, CInt) = (1032, 1031)
    let room = fcntl(descriptor, get)
    guard room > 0, room < byteCount else { return }
    _ = fcntl(descriptor, set, CInt(clamping: byteCount))
  }
}

/// A new pipe: both of its ends, each to be taken over once.
package struct PipePair: ~Copyable {
  /// Where the bytes come out.
  package let reading: OwnedDescriptor
  /// Where they go in.
  package let writing: OwnedDescriptor

  /// Makes a pipe. Throws what pipe2 gives.
  package init() throws(SystemCallError) {
    var ends: (CInt, CInt) = (-1, -1)
    // SAFETY: two numbers, as pipe2 wants them; they are not kept.
    let result = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
      unsafe CLinux_pipe(bytes.baseAddress?.assumingMemoryBound(to: Int32.self))
    }
    try check(result, .pipe2, .process)
    reading = OwnedDescriptor(owning: ends.0)
    writing = OwnedDescriptor(owning: ends.1)
  }

  /// Opens /dev/null for reading and writing. Throws what openat gives.
  package static func openNull() throws(SystemCallError) -> OwnedDescriptor {
    try openDescriptor("/dev/null", flags: O_RDWR)
  }

  /// The end where the bytes come out; the other one is closed.
  package consuming func takeReading() -> OwnedDescriptor { reading }
  /// The end where the bytes go in; the other one is closed.
  package consuming func takeWriting() -> OwnedDescriptor { writing }
}
