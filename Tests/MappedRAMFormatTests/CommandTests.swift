import MappedRAMFormat
import Testing

@Suite struct CommandTests {
  /// The lengths that QEMU 10.0.2 takes; `nil` where it takes any.
  static let lengths: [(Command.Code, [Int]?)] = [
    (.openReturnPath, [0]), (.ping, [4]), (.postcopyAdvise, [0, 16]), (.postcopyListen, [0]),
    (.postcopyRun, [0]), (.postcopyRAMDiscard, nil), (.packaged, [4]), (.enableCOLO, [0]),
    (.postcopyResume, [0]), (.receiveBitmap, nil), (.switchoverStart, [0]),
  ]

  private func bytes(_ code: UInt16, _ length: Int) -> [UInt8] {
    [8] + be(code) + be(UInt16(length)) + [UInt8](repeating: 0x5A, count: length)
  }

  @Test(arguments: lengths) func eachTakesItsLengths(_ code: Command.Code, _ good: [Int]?) throws {
    for length in [0, 1, 3, 4, 5, 15, 16, 17, 65535] {
      let bytes = bytes(code.rawValue, length)
      if good?.contains(length) ?? true {
        try expectRoundTrip(bytes, StreamElement.init(parsing:)) { $0.encode(into: &$1) }
        #expect(
          try parse(bytes, StreamElement.init(parsing:))
            == .command(Command(code, data: Array(repeating: 0x5A, count: length))))
      } else {
        #expect(
          try failure(bytes, StreamElement.init(parsing:))
            == FormatError(
              .commandLength(code, found: length, expected: good ?? []), at: 3, in: .command))
      }
    }
  }

  @Test(arguments: [0, 12, 0x0100, .max] as [UInt16]) func othersAreUnknown(_ code: UInt16) throws {
    #expect(
      try failure(bytes(code, 0), StreamElement.init(parsing:))
        == FormatError(.unknownCommand(code), at: 1, in: .command))
  }

  @Test func everyPrefixIsCutOff() throws {
    try expectTruncation(of: bytes(3, 16), StreamElement.init(parsing:))
    try expectTruncation(of: bytes(10, 40), StreamElement.init(parsing:))
  }

  @Test func codesHaveTheNamesOfQEMUsDocuments() {
    #expect(
      Command.Code.allCases.map(\.name) == [
        "OPEN_RETURN_PATH", "PING", "POSTCOPY_ADVISE", "POSTCOPY_LISTEN", "POSTCOPY_RUN",
        "POSTCOPY_RAM_DISCARD", "PACKAGED", "ENABLE_COLO", "POSTCOPY_RESUME", "RECV_BITMAP",
        "SWITCHOVER_START",
      ])
    #expect(Command.Code.allCases.map(\.rawValue) == Array(1...11))
  }
}
