import Glibc
import LinuxIO
import MappedRAM
import QEMUControl
import QMP

/// How much memory the guest of a live save changes.
package enum DirtyRate: Equatable, Hashable, Sendable {
  /// Pages of so many bytes a second; 0 for none at all.
  case bytesPerSecond(UInt64)
  /// As many as it can.
  case unlimited
}

/// The running guest of `GuestFirmware.Program.busy`, seen and steered from outside.
///
/// It reads a page of its area and counts that as a pass, for ever. Between passes it changes one word in each page that is due, one page
/// after the other, round and round in the area. It is a guest that always has something to do: what a save takes from it is seen in its
/// passes.
struct BusyGuest {
  private let vm: BenchVM
  /// Ticks of the guest's time-stamp counter in a second.
  private let ticksPerSecond: Double

  /// Where the guest's words are, in bytes from `base` on. Its own counters are of 64 bits, all else of 32.
  private enum Word {
    static let base: UInt64 = 0x1000
    static let passes: UInt64 = 0
    static let writes: UInt64 = 8
    static let ticks: UInt64 = 16
    /// 1: it may begin.
    static let begin: UInt64 = 24
    /// From one write to the next; 0 for as soon as it can, all ones for never.
    static let interval: UInt64 = 28
    static let area: UInt64 = 32
    static let areaEnd: UInt64 = 36
  }

  private static let never = UInt32.max
  /// The guest lets go what it is behind by so many ticks.
  private static let longestInterval = 0x1000_0000

  /// What the guest changes of `byteCount` bytes of memory: the last quarter of it, or of its first 2 GiB, which its addresses reach and
  /// which lie below all holes.
  static func area(of byteCount: UInt64) -> Range<UInt64> {
    let end = min(byteCount, 2 << 30)
    return (end - min(byteCount / 4, 1 << 30) / 4096 * 4096)..<end
  }

  /// Lets the guest of `vm` begin, whose memory was filled, and which is paused.
  init(beginning vm: BenchVM) throws(BenchError) {
    let area = Self.area(of: vm.pages.byteCount)
    for (word, value) in [
      (Word.passes, 0), (Word.passes + 4, 0), (Word.writes, 0), (Word.writes + 4, 0),
      (Word.interval, Self.never), (Word.area, UInt32(area.lowerBound)),
      (Word.areaEnd, UInt32(area.upperBound)), (Word.begin, 1),
    ] {
      try Self.set(word, to: value, in: vm)
    }
    try vm.talking { (connection) throws(QMPError) in try connection.execute(.cont) }
    let deadline = ContinuousClock.now + .seconds(10)
    while try Self.words(of: vm).passes == 0 {
      guard .now < deadline else { throw .guestDoesNotRun }
      usleep(1000)
    }
    let first = try Self.words(of: vm).ticks
    let start = ContinuousClock.now
    usleep(200_000)
    let second = try Self.words(of: vm).ticks
    ticksPerSecond = Double(second &- first) / (ContinuousClock.now - start).inSeconds
    self.vm = vm
  }

  /// From now on it changes memory at this rate.
  func change(at rate: DirtyRate) throws(BenchError) {
    let interval: UInt32 =
      switch rate {
      case .unlimited: 0
      case .bytesPerSecond(0): Self.never
      case .bytesPerSecond(let bytes):
        UInt32(min(ticksPerSecond * 4096 / Double(bytes), Double(Self.longestInterval)))
      }
    try Self.set(Word.interval, to: interval, in: vm)
  }

  /// How far the guest is.
  struct Progress {
    var passes: UInt64
    var writes: UInt64
    var time: ContinuousClock.Instant

    /// Passes in a second, and bytes of pages changed in a second, from `earlier` on.
    func rates(since earlier: Progress) -> (passes: Double, dirtyBytes: Double) {
      let seconds = max((time - earlier.time).inSeconds, 1e-9)
      return (
        Double(passes &- earlier.passes) / seconds,
        Double((writes &- earlier.writes) * 4096) / seconds
      )
    }
  }

  /// How far it is now.
  func progress() throws(BenchError) -> Progress {
    let words = try Self.words(of: vm)
    return Progress(passes: words.passes, writes: words.writes, time: .now)
  }

  private static func words(
    of vm: BenchVM
  ) throws(BenchError) -> (passes: UInt64, writes: UInt64, ticks: UInt32) {
    // The guest changes the halves of a counter one after the other: between two equal upper halves they belong together.
    while true {
      let (first, second) = (try read(vm), try read(vm))
      func word(_ at: UInt64, _ words: [UInt32]) -> UInt32 { words[Int(at / 4)] }
      guard word(Word.passes + 4, first) == word(Word.passes + 4, second),
        word(Word.writes + 4, first) == word(Word.writes + 4, second),
        word(Word.passes, first) <= word(Word.passes, second),
        word(Word.writes, first) <= word(Word.writes, second)
      else { continue }
      func counter(_ at: UInt64) -> UInt64 {
        UInt64(word(at + 4, second)) << 32 | UInt64(word(at, second))
      }
      return (counter(Word.passes), counter(Word.writes), word(Word.ticks, second))
    }
  }

  /// The words up to `begin`.
  private static func read(_ vm: BenchVM) throws(BenchError) -> [UInt32] {
    var words: [6 of UInt32] = .init(repeating: 0)
    let from = Word.base
    try BenchError.system { () throws(SystemCallError) in
      // SAFETY: the words are this function's own; the copy fills all of them.
      try unsafe withUnsafeMutableBytes(of: &words) { (buffer) throws(SystemCallError) in
        try unsafe vm.pages.copy(into: buffer, from: from)
      }
    }
    return words.indices.map { UInt32(littleEndian: words[$0]) }
  }

  private static func set(
    _ word: UInt64, to value: UInt32, in vm: BenchVM
  ) throws(BenchError) {
    let value = value.littleEndian
    try BenchError.system { () throws(SystemCallError) in
      // SAFETY: the value is this function's own.
      try unsafe withUnsafeBytes(of: value) { (bytes) throws(SystemCallError) in
        try unsafe vm.pages.copy(from: bytes, to: Word.base + word)
      }
    }
  }
}
