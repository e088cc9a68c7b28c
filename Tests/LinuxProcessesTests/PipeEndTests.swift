import Glibc
import LinuxIO
import SystemPackage
import Testing

@testable import LinuxProcesses

@Suite struct PipeEndTests {
  /// Bytes that can be written until the pipe is full.
  private func room(of end: borrowing PipeEnd) -> Int {
    let bytes = [UInt8](repeating: 1, count: 4096)
    var count = 0
    // SAFETY: the array lives for the call.
    while case let put = unsafe bytes.withUnsafeBytes({
      unsafe write(end.descriptor, $0.baseAddress, $0.count)
    }), put > 0 {
      count += put
    }
    return count
  }

  @Test(arguments: [(1 << 20, 1 << 20), (4096, 64 << 10), (0, 64 << 10)])
  func aPipeIsWidenedAndNeverMadeNarrower(_ wanted: Int, _ expected: Int) throws {
    let pipe = try PipePair()
    let reading = pipe.reading.rawValue
    // It is kept open: without a reader a write would be an error.
    let kept = OwnedDescriptor(owning: dup(reading))
    let end = PipeEnd(pipe.takeWriting(), path: "pipe")
    end.widen(to: wanted)
    #expect(room(of: end) == expected)
    #expect(kept.rawValue >= 0)
  }

  /// What is no pipe has no room to change, and nothing fails.
  @Test func whatCannotBeWidenedStaysAsItIs() throws {
    let end = try PipeEnd(reading: "/dev/null")
    end.widen(to: 1 << 20)
    var byte: UInt8 = 0
    let stop = try StopSignal()
    // SAFETY: a byte of this function's own.
    let got = try unsafe withUnsafeMutableBytes(of: &byte) { (memory) throws(SystemCallError) in
      try unsafe end.readSome(into: memory, until: stop)
    }
    #expect(got == 0)
  }

  @Test func aRaisedSignalEndsReading() throws {
    let pipe = try PipePair()
    let end = PipeEnd(pipe.takeReading(), path: "pipe")
    let stop = try StopSignal()
    stop.raise()
    var byte: UInt8 = 0
    // SAFETY: a byte of this function's own.
    let got = try unsafe withUnsafeMutableBytes(of: &byte) { (memory) throws(SystemCallError) in
      try unsafe end.readSome(into: memory, until: stop)
    }
    #expect(got == nil)
  }
}
