import CLinux
import Glibc
import SystemPackage

/// A small process that does what has to be done if this one ends in the middle of something, also by SIGKILL.
///
/// It holds the other end of a link, and a socket: when the link ends without a word, it sends commands over the socket. When the
/// value goes, the watchdog goes too, and does nothing. It is out of reach of this process's terminal, and blocks signals;
/// what kills a whole control group kills it as well.
public struct Watchdog: ~Copyable, Sendable {
  /// The watchdog's number.
  let process: Int32
  private let link: Int32

  /// A command, and how its answer is known.
  public struct Step: Equatable, Sendable {
    /// The bytes of the command, with their newline.
    public var line: [UInt8]
    /// Bytes that only the line of the answer has.
    public var answer: [UInt8]
    /// Whether the command is sent again, each 20 milliseconds: as long as the watchdog's patience lasts, but for half a minute at most.
    public var repetition: Repetition
    /// How long to wait before the command is sent, in whole milliseconds.
    public var delay: Duration

    /// When a command is sent again.
    public enum Repetition: Equatable, Sendable {
      case never
      /// While its answer has `"error"` in it.
      case whileRefused
      /// Until the value that follows these bytes in the answer (up to 32 bytes before a comma or a closing brace; a value that
      /// is not there is one as well) has changed from one answer to the next and then has not, or has not for 16 answers.
      case untilSteady([UInt8])
    }

    /// A step of its parts.
    ///
    /// - Precondition: the answer's mark has at most 65,535 bytes: it must be in a line that the watchdog can hold.
    public init(
      line: [UInt8], answer: [UInt8], repetition: Repetition = .never, delay: Duration = .zero
    ) {
      precondition(answer.count <= UInt16.max, "a mark of 65,535 bytes at most")
      self.line = line
      self.answer = answer
      self.repetition = repetition
      self.delay = delay
    }
  }

  /// How long a watchdog waits for the answer to each step: five minutes, since QEMU answers nothing while it waits for slow disks.
  public static let patience = Duration.seconds(300)

  /// Starts a watchdog that would send `script` over the socket `descriptor`, which may go on being used here, and be closed.
  ///
  /// A step that is not answered within `patience` does not keep the next ones from being sent.
  ///
  /// - Throws: what socketpair(2) and fork(2) give.
  public init(
    descriptor: CInt, script: [Step], patience: Duration = Self.patience
  ) throws(SystemCallError) {
    // Sockets and not a pipe, since a write to one can leave out SIGPIPE.
    var (watching, kept): (CInt, CInt) = (-1, -1)
    // SAFETY: both numbers are filled before the call returns, and are not kept.
    try unsafe check(CLinux_socketPair(&watching, &kept), .socketpair, .process)
    let bytes = Self.encode(script)
    // SAFETY: the watchdog reads its own copy of the bytes, as a fork has one of all memory.
    let process = unsafe bytes.withUnsafeBufferPointer { buffer in
      unsafe CLinux_startWatchdog(
        watching, descriptor, buffer.baseAddress, buffer.count, patience.pollMilliseconds)
    }
    close(watching)
    if process < 0 { close(kept) }
    try check(process, .fork, .process)
    self.process = process
    link = kept
  }

  deinit {
    // A watchdog that is gone already needs no word.
    _ = CLinux_release(process, link)
  }

  /// Ends the link without a word, as the end of this process does, and waits until the watchdog has done its work. For tests.
  consuming func abandon() {
    let (process, link) = (process, link)
    discard self
    close(link)
    _ = ChildProcess.reap(process, blocks: true)
  }

  /// The script as the C side reads it (`struct Step`).
  private static func encode(_ script: [Step]) -> [UInt8] {
    var bytes: [UInt8] = []
    for step in script {
      let (repetition, value): (UInt8, [UInt8]) =
        switch step.repetition {
        case .never: (0, [])
        case .whileRefused: (1, [])
        case .untilSteady(let mark): (2, mark)
        }
      bytes.append(repetition)
      append(UInt32(step.delay.pollMilliseconds), to: &bytes)
      for part in [step.answer, value, step.line] {
        append(UInt32(part.count), to: &bytes)
        bytes += part
      }
    }
    return bytes
  }

  private static func append(_ number: UInt32, to bytes: inout [UInt8]) {
    // SAFETY: the bytes of a number on the stack.
    unsafe withUnsafeBytes(of: number) { unsafe bytes.append(contentsOf: $0) }
  }
}
