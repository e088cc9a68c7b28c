import CLinux
package import Glibc
package import SystemPackage

/// Calls `body` until it does something else than fail with EINTR.
///
/// `body` gives a negative number when it failed, with the reason in errno.
@inline(__always)
package func retryingInterrupted<Number: FixedWidthInteger>(
  _ call: SystemCall, _ subject: @autoclosure () -> SystemCallError.Subject,
  _ body: () -> Number
) throws(SystemCallError) -> Number {
  while true {
    let result = body()
    if result >= 0 { return result }
    let errno = Errno(rawValue: Glibc.errno)
    if errno == .interrupted { continue }
    throw SystemCallError(call: call, errno: errno, subject: subject())
  }
}

/// Throws where `result`, of a `CLinux_` function, is an error number with its sign turned.
@inline(__always)
package func check(
  _ result: Int32, _ call: SystemCall, _ subject: @autoclosure () -> SystemCallError.Subject
) throws(SystemCallError) {
  if result < 0 {
    throw SystemCallError(call: call, errno: Errno(rawValue: -result), subject: subject())
  }
}

/// Opens `path`, always with O_CLOEXEC.
///
/// With a `directory` the path is relative to it. Throws what openat(2) gives.
package func openDescriptor(
  _ path: FilePath, in directory: CInt = AT_FDCWD, named reported: FilePath? = nil, flags: CInt,
  mode: mode_t = 0
) throws(SystemCallError) -> OwnedDescriptor {
  let number = try retryingInterrupted(.open, .file(reported ?? path)) {
    // SAFETY: the pointer is to the path's own bytes, which end with a zero, and the kernel has
    // read them when openat returns.
    unsafe path.withPlatformString { unsafe openat(directory, $0, flags | O_CLOEXEC, mode) }
  }
  return OwnedDescriptor(owning: number)
}

/// The metadata of an open file.
package func status(of descriptor: CInt, _ path: FilePath) throws(SystemCallError) -> Stat {
  do throws(Errno) {
    return try Stat(FileDescriptor(rawValue: descriptor))
  } catch {
    throw SystemCallError(call: .fstat, errno: error, subject: .file(path))
  }
}

/// `offset` as the kernel wants it; EOVERFLOW where it does not fit a signed 64-bit number.
package func signedOffset(
  _ offset: UInt64, _ call: SystemCall, _ path: FilePath
) throws(SystemCallError) -> off_t {
  guard let signed = off_t(exactly: offset) else {
    throw SystemCallError(call: call, errno: .overflow, subject: .file(path))
  }
  return signed
}
