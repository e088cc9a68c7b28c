import Glibc
package import LinuxIO
import LinuxProcesses
import MappedRAM
import SystemPackage

/// A process that does nothing but have memory, as QEMU has a guest's. It ends when the last reference goes.
package final class GuestHolder {
  /// What this program is called with, and a number of bytes, to be such a process; it then does as `HeldMemory` says.
  package static let verb = "hold-memory"

  private let child: ChildProcess
  /// The process ends where this does.
  private let input: UnixSocket
  /// Its memory.
  let pages: ProcessPages

  /// Starts one with `byteCount` bytes, none of them touched.
  init(byteCount: UInt64) throws(BenchError) {
    do throws(SystemCallError) {
      let (ours, theirs) = try UnixSocket.pair(named: "holder of memory")
      var options = ChildProcess.Options()
      options.standardInput = theirs.descriptor
      options.standardOutput = theirs.descriptor
      // Out of reach of the terminal: Ctrl-C is for this process to handle.
      options.startsSession = true
      let child = try ChildProcess(
        starting: Bench.thisProgram, [Self.verb, "\(byteCount)"], options)
      withExtendedLifetime(theirs) {}
      let address = try Self.address(from: ours)
      pages = ProcessPages(
        ProcessMemory(of: child.processID), at: address, byteCount: byteCount)
      self.child = child
      input = ours
    } catch {
      throw .system(error)
    }
  }

  /// The address that the process tells.
  private static func address(from socket: UnixSocket) throws(SystemCallError) -> UInt64 {
    var answer: [UInt8] = []
    let deadline = ContinuousClock.now + .seconds(30)
    while answer.last != UInt8(ascii: "\n") {
      guard let count = try socket.receive(into: &answer, deadline: deadline), count > 0 else {
        break
      }
    }
    guard let address = UInt64(String(decoding: answer.dropLast(), as: UTF8.self)) else {
      throw SystemCallError(call: .mmap, errno: .noMemory, subject: .process)
    }
    return address
  }
}

/// The memory of a process that a `GuestHolder` started.
///
/// The process writes the address as a line to its output, and holds the memory until its input ends.
package struct HeldMemory {
  private let memory: Mapping

  /// `byteCount` bytes, none of them touched.
  ///
  /// - Throws: what mmap(2) gives.
  package init(byteCount: Int) throws(SystemCallError) {
    memory = try Mapping(anonymousByteCount: byteCount)
    // As QEMU asks for a guest's memory; a kernel without huge pages refuses.
    try? memory.advise(.hugePages, 0..<byteCount)
  }

  /// Where it begins.
  // SAFETY: only the number of the address is used.
  package var address: UInt { unsafe UInt(bitPattern: memory.baseAddress) }

  /// Waits for the end of the input: whoever started this kills it, or ends and closes the input.
  package func waitForEnd() {
    var byte: UInt8 = 0
    // SAFETY: one byte is read into a byte.
    while unsafe read(STDIN_FILENO, &byte, 1) > 0 {}
    withExtendedLifetime(memory) {}
  }
}
