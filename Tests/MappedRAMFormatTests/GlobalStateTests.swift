import MappedRAMFormat
import Testing

@Suite struct GlobalStateTests {
  private let parser: Parser<GlobalState> = { (input) throws(FormatError) in
    try GlobalState(parsing: &input)
  }

  /// The bytes that QEMU 10.0.2 wrote for a stopped VM.
  @Test func pausedIsWrittenAsQEMUDoes() throws {
    let bytes = be(UInt32(7)) + ascii("paused") + [UInt8](repeating: 0, count: 26)
    #expect(encoded { GlobalState(.paused).encode(into: &$0) } == bytes)
    try expectRoundTrip(bytes, parser) { $0.encode(into: &$1) }
    try expectTruncation(of: bytes, parser)
  }

  @Test func theLongestNameIsReadWithOrWithoutItsZero() throws {
    for count in [31, 32] {
      let name = String(repeating: "x", count: count)
      let bytes = be(UInt32(count + 1)) + ascii(name) + [UInt8](repeating: 0, count: 32 - count)
      #expect(try parse(bytes, parser).runState.rawValue == name)
    }
  }

  @Test func aNameThatCannotBeIsRefused() throws {
    let zeros = [UInt8](repeating: 0, count: 36)
    #expect(try failure(zeros, at: 16, parser).kind == .nameEmpty)
    let odd = be(UInt32(2)) + [7] + [UInt8](repeating: 0, count: 31)
    #expect(
      try failure(odd, at: 16, parser)
        == FormatError(.nameNotPrintable([7]), at: 20, in: .section("globalstate")))
  }

  @Test func aVMThatRanOrSleptGoesOn() {
    let all: [RunState] = [.running, .paused, .prelaunch, .suspended]
    #expect(all.map(\.runsAtOnce) == [true, false, false, true])
  }
}
