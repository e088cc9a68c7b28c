import CLinux
import Glibc
import SystemPackage

/// A small process that does what has to be done if this one ends in the middle of something, also by SIGKILL.
///
/// It holds the other end of a pipe, and a socket: when the pipe ends without a word, it sends commands over the socket. When the
/// value goes, the watchdog goes too, and does nothing. It is out of reach of this process's terminal, and blocks signals;
/// what kills a whole control group kills it as well.
public struct Watchdog: ~Copyable, Sendable {
  private let process: Int32
  private let pipe: OwnedDescriptor

  /// A command, and how its answer is known.
  public struct Step: Equatable, Sendable {
    /// The bytes of the command, with their newline.
    public var line: [UInt8]
    /// Bytes that only the line of the answer has.
    public var answer: [UInt8]
    /// Whether the command is sent again, for half a minute, while its answer has `"error"` in it.
    public var retries: Bool

    /// A step of its parts.
    ///
    /// - Precondition: the answer's mark has at most 65,535 bytes.
    public init(line: [UInt8], answer: [UInt8], retries: Bool) {
      precondition(answer.count <= UInt16.max, "a mark of 65,535 bytes at most")
      self.line = line
      self.answer = answer
      self.retries = retries
    }
  }

  /// Starts a watchdog that would send `script` over the socket `descriptor`, which may go on being used here.
  ///
  /// - Throws: what pipe2(2) and fork(2) give.
  public init(descriptor: CInt, script: [Step]) throws(SystemCallError) {
    var (reads, writes): (CInt, CInt) = (-1, -1)
    // SAFETY: both numbers are filled before the call returns, and are not kept.
    try unsafe check(CLinux_pipe(&reads, &writes), .pipe2, .process)
    let reading = OwnedDescriptor(owning: reads)
    let writing = OwnedDescriptor(owning: writes)
    let bytes = Self.encode(script)
    // SAFETY: the watchdog reads its own copy of the bytes, as a fork has one of all memory.
    let process = unsafe bytes.withUnsafeBufferPointer { buffer in
      unsafe CLinux_startWatchdog(
        reading.rawValue, descriptor, buffer.baseAddress, buffer.count)
    }
    try check(process, .fork, .process)
    self.process = process
    pipe = writing
  }

  deinit {
    var byte: UInt8 = 0
    // SAFETY: one byte. A watchdog that is gone already needs no word.
    _ = unsafe write(pipe.rawValue, &byte, 1)
    _ = CLinux_reap(process)
  }

  private static func encode(_ script: [Step]) -> [UInt8] {
    var bytes: [UInt8] = []
    for step in script {
      bytes.append(step.retries ? 1 : 0)
      append(UInt16(step.answer.count), to: &bytes)
      bytes += step.answer
      append(UInt32(step.line.count), to: &bytes)
      bytes += step.line
    }
    return bytes
  }

  private static func append<Number: FixedWidthInteger>(_ number: Number, to bytes: inout [UInt8]) {
    // SAFETY: the bytes of a number on the stack.
    unsafe withUnsafeBytes(of: number) { unsafe bytes.append(contentsOf: $0) }
  }
}
