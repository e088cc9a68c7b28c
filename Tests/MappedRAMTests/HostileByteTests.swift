import LinuxIO
import MappedRAM
import MappedRAMFormat
import TestSupport
import Testing

/// Changed bytes never crash or hang a reader, and what it accepts can be restored.
@Suite struct HostileByteTests {
  /// Sets each byte of the structures to 0, 1, 0xFF, and to itself with one bit or all bits of a seeded mask
  /// changed.
  @Test(arguments: [true, false])
  func anyByteMayHaveAnyValue(hasDescription: Bool) throws {
    let tiny = try HostileImage(hasDescription: hasDescription)
    var generator = SeededGenerator()
    var refused = 0
    for place in tiny.structures.flatMap(Array.init) {
      let byte = try #require(try tiny.file.readBytes(at: place, count: 1).first)
      let mask = UInt8.random(in: 1...255, using: &generator)
      for value in Set([0, 1, 0xFF, byte ^ 1, byte ^ 0x80, byte ^ mask]) where value != byte {
        try tiny.file.write([value], at: place)
        refused += try tiny.judge("byte \(value) at \(place)").isComplete ? 0 : 1
      }
      try tiny.file.write([byte], at: place)
    }
    #expect(refused > 1000)
    #expect(try tiny.judge("mended").problems == [])
  }

  /// Overwrites 1 to 9 places at once with numbers that headers choke on, by seed.
  @Test func severalNumbersMayBeWrongAtOnce() throws {
    let tiny = try HostileImage()
    var generator = SeededGenerator()
    let places = tiny.structures.flatMap(Array.init)
    for round in 0..<1000 {
      var kept: [(UInt64, [UInt8])] = []
      for _ in 0..<Int.random(in: 1...9, using: &generator) {
        let place = places.randomElement(using: &generator) ?? 0
        let number = Self.number(&generator)
        kept.append((place, try tiny.file.readBytes(at: place, count: number.count)))
        try tiny.file.write(number, at: place)
      }
      try tiny.judge("seed \(generator.seed), round \(round)")
      for (place, bytes) in kept.reversed() { try tiny.file.write(bytes, at: place) }
      try tiny.file.truncate(to: tiny.plan.end.rawValue)
    }
    #expect(try tiny.judge("mended").problems == [])
  }

  /// Moves a run of bytes of the structures to another place in them, by seed: whole sections come twice or
  /// never.
  @Test func piecesMayStandInWrongPlaces() throws {
    let tiny = try HostileImage()
    var generator = SeededGenerator()
    let places = tiny.structures.flatMap(Array.init)
    for round in 0..<1000 {
      let source = places.randomElement(using: &generator) ?? 0
      let target = places.randomElement(using: &generator) ?? 0
      let bytes = try tiny.file.readBytes(
        at: source, count: Int.random(in: 1...90, using: &generator))
      let kept = try tiny.file.readBytes(at: target, count: bytes.count)
      try tiny.file.write(bytes, at: target)
      try tiny.judge("seed \(generator.seed), round \(round)")
      try tiny.file.write(kept, at: target)
      try tiny.file.truncate(to: tiny.plan.end.rawValue)
    }
    #expect(try tiny.judge("mended").problems == [])
  }

  /// A number of 1, 2, 4 or 8 bytes: a power of two, one beside it, or the most there is.
  private static func number(_ generator: inout SeededGenerator) -> [UInt8] {
    let width = [1, 2, 4, 8].randomElement(using: &generator) ?? 8
    let power = UInt64(1) << UInt64.random(in: 0..<64, using: &generator)
    let value = [0, power, power &- 1, power | 4, .max, .max << 12].randomElement(using: &generator)
    var output = ByteOutput()
    output.writeBigEndian(value ?? 0)
    return Array(output.bytes.suffix(width))
  }
}
