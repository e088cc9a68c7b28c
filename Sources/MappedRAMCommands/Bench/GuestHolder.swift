import ArgumentParser
import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM
import SystemPackage

/// A process that does nothing but have memory, as QEMU has a guest's. It ends when the last reference goes.
final class GuestHolder {
  private let child: ChildProcess
  /// The process ends where this does.
  private let input: UnixSocket
  /// Its memory.
  let pages: ProcessPages

  /// Starts one with `byteCount` bytes, none of them touched.
  init(byteCount: UInt64) throws(CommandError) {
    do throws(SystemCallError) {
      let (ours, theirs) = try UnixSocket.pair(named: "holder of memory")
      var options = ChildProcess.Options()
      options.standardInput = theirs.descriptor
      options.standardOutput = theirs.descriptor
      // Out of reach of the terminal: Ctrl-C is for this process to handle.
      options.startsSession = true
      let child = try ChildProcess(
        starting: "/proc/self/exe", [HolderCommand.name, "\(byteCount)"], options)
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

/// `mapped-ram hold-memory BYTES`: what a `GuestHolder` starts. For bench alone.
struct HolderCommand: ParsableCommand {
  static let name = "hold-memory"
  static let configuration = CommandConfiguration(
    commandName: name, abstract: "Has memory until its input ends. For bench alone.",
    shouldDisplay: false)

  @Argument var byteCount: Int

  func validate() throws {
    guard byteCount > 0 else { throw ValidationError("Expected a number of bytes.") }
  }

  func run() throws {
    do throws(SystemCallError) {
      let memory = try Mapping(anonymousByteCount: byteCount)
      // As QEMU asks for a guest's memory; a kernel without huge pages refuses.
      try? memory.advise(.hugePages, 0..<byteCount)
      // SAFETY: only the number of the address is used.
      let address = unsafe UInt(bitPattern: memory.baseAddress)
      do throws(CommandError) {
        try Console.writeOutput("\(address)\n")
      } catch {
        throw SystemCallError(call: .write, errno: .brokenPipe, subject: .process)
      }
      // Until the end: whoever started this kills it, or ends and closes the input.
      var byte: UInt8 = 0
      while unsafe read(STDIN_FILENO, &byte, 1) > 0 {}
      withExtendedLifetime(memory) {}
    } catch {
      throw ExitCode(ExitStatus.ioError.rawValue)
    }
  }
}
