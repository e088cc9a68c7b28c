import Foundation
package import SystemPackage

/// The guest of `Tests/Guest/boot.asm`, as a firmware: it starts in milliseconds, fills RAM from 1
/// MiB to `end` with a pattern, then for ever sums the pattern, prints a count and the sum, and
/// rewrites the churn area.
///
/// The lines that one guest prints count up by one and all have the same sum, also when it was
/// saved and restored in between. So the lines before a save and those after the restore, put
/// together, show both that it went on where it stood and that its memory is whole.
package struct BootSectorGuest: Sendable {
  /// The first address past the pattern; a multiple of 4096.
  package var end: UInt32
  /// Pages whose number & mask is 0 stay zero: with 7 one page in eight, with 0xffff_ffff only page
  /// 0.
  package var mask: UInt32
  /// Each word of the pattern is its address ^ seed.
  package var seed: UInt32
  /// The addresses of the pages that change all the time, half of them to zero in each round; past
  /// `end`.
  package var churn: Range<UInt32>

  /// Where the pattern begins: 1 MiB.
  package static let start: UInt32 = 0x10_0000
  /// The physical address of the count of lines printed, 4 bytes, little-endian.
  package static let countAddress: UInt64 = 0x7DD4

  /// A guest that fills RAM up to `end`.
  package init(
    end: UInt32, mask: UInt32 = 7, seed: UInt32 = 0, churn: Range<UInt32> = 0..<0
  ) {
    precondition(end % 4096 == 0 && churn.lowerBound % 4096 == 0 && churn.upperBound % 4096 == 0)
    self.end = end
    self.mask = mask
    self.seed = seed
    self.churn = churn
  }

  /// Writes the firmware image (64 KiB), for `-bios`.
  package func write(to path: FilePath) throws {
    let source = URL(fileURLWithPath: Repository.file("Tests/Guest/firmware.bin").string)
    var rom = [UInt8](try Data(contentsOf: source))
    for (index, value) in [end, mask, seed, churn.lowerBound, churn.upperBound].enumerated() {
      for byte in 0..<4 {
        rom[0x1C0 + 4 * index + byte] = UInt8(truncatingIfNeeded: value >> UInt32(8 * byte))
      }
    }
    try Data(rom).write(to: URL(fileURLWithPath: path.string))
  }

  /// The word that stands at `address` (a multiple of 4 in the pattern's range) once the guest has
  /// printed a line.
  package func word(at address: UInt32) -> UInt32 {
    (address >> 12) & mask == 0 ? 0 : address ^ seed
  }

  /// The 4096 bytes of the page at `address`, a multiple of 4096 in the pattern's range.
  package func page(at address: UInt32) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4096)
    for at in stride(from: address, to: address + 4096, by: 4) {
      let value = word(at: at)
      for byte in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(8 * byte))) }
    }
    return bytes
  }

  /// The sum that each line must show.
  package var sum: UInt32 { Self.sum(Self.start..<end, of: word(at:)) }

  /// The sum of the words at each fourth address of `range`.
  static func sum(_ range: Range<UInt32>, of word: (UInt32) -> UInt32) -> UInt32 {
    var sum: UInt32 = 0
    var at = range.lowerBound
    while at < range.upperBound {
      sum = (sum << 1 | sum >> 31) &+ word(at)
      at &+= 4
    }
    return sum
  }

  /// One line that the guest printed.
  package struct Line: Equatable, Sendable {
    /// Lines printed so far, this one included.
    package var count: UInt32
    /// The sum of the pattern.
    package var sum: UInt32
  }

  /// The whole lines of `text`, which is what guests printed one after the other on their serial
  /// ports.
  /// - Throws: `HarnessError` at a line that is none of this guest's.
  package static func lines(of text: String) throws -> [Line] {
    let whole = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
    return try whole.map { line in
      let fields = line.split(separator: " ")
      guard line.utf8.count == 17, fields.count == 2,
        let count = UInt32(fields[0], radix: 16), let sum = UInt32(fields[1], radix: 16)
      else { throw HarnessError("the guest printed “\(line)”") }
      return Line(count: count, sum: sum)
    }
  }
}
