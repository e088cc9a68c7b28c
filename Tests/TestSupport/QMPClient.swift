import Foundation
import Glibc
import SystemPackage

/// A QMP conversation over two descriptors, one command at a time. Events are dropped.
final class QMPClient {
  private let input: FileDescriptor
  private let output: FileDescriptor
  private var buffer: [UInt8] = []

  /// Takes over the greeting and leaves the negotiation mode.
  /// - Parameters:
  ///   - input: where QEMU's answers come from. Stays the caller's.
  ///   - output: where commands go to. Stays the caller's.
  init(input: FileDescriptor, output: FileDescriptor) throws {
    self.input = input
    self.output = output
    let greeting = try object(deadline: .now + .seconds(30))
    guard greeting["QMP"] != nil else { throw HarnessError("QMP: no greeting but \(greeting)") }
    _ = try execute("qmp_capabilities", [:])
  }

  /// Sends a command and gives what it returns.
  /// - Throws: `HarnessError` with QEMU's own description, or when there is no answer in `seconds`.
  func execute(_ command: String, _ arguments: [String: Any], seconds: Double = 60) throws -> Any {
    let request: [String: Any] = ["execute": command, "arguments": arguments]
    let data = try JSONSerialization.data(withJSONObject: request) + [0x0A]
    try output.writeAll(data)
    let deadline = ContinuousClock.now + .seconds(seconds)
    while true {
      let answer = try object(deadline: deadline)
      if let value = answer["return"] { return value }
      if let error = answer["error"] as? [String: Any] {
        throw HarnessError("\(command): \(error["desc"] ?? error)")
      }
    }
  }

  private func object(deadline: ContinuousClock.Instant) throws -> [String: Any] {
    while true {
      if let end = buffer.firstIndex(of: 0x0A) {
        let line = Data(buffer[..<end])
        buffer.removeFirst(end + 1)
        // Some parts of QEMU print to standard output, as does the maker of snapshots.
        guard line.first == UInt8(ascii: "{") else { continue }
        guard let object = try JSONSerialization.jsonObject(with: line) as? [String: Any] else {
          throw HarnessError("QMP: no object in \(line)")
        }
        return object
      }
      try receive(deadline: deadline)
    }
  }

  private func receive(deadline: ContinuousClock.Instant) throws {
    guard ContinuousClock.now < deadline else { throw HarnessError("QMP: no answer in time") }
    var waiting = pollfd(fd: input.rawValue, events: Int16(POLLIN), revents: 0)
    // SAFETY: one pollfd, alive for the call.
    guard unsafe poll(&waiting, 1, 100) > 0 else { return }
    var chunk = [UInt8](repeating: 0, count: 16384)
    // SAFETY: the closure uses the buffer only for the read.
    let count = try unsafe chunk.withUnsafeMutableBytes { try unsafe input.read(into: $0) }
    guard count > 0 else { throw HarnessError("QMP: QEMU closed the connection") }
    buffer += chunk[..<count]
  }
}
