import LinuxIO
import MappedRAM
import MappedRAMFormat
import TestSupport
import Testing

/// A file that ends too early is refused wherever it ends, and nothing crashes.
@Suite struct HostileCutTests {
  /// Cuts the image after every byte of its structures, from the end on, and at samples of gaps and slots: only
  /// the cut right after the EOF byte leaves an image, since the description is not needed.
  @Test(arguments: [true, false], [0, 1000] as [UInt64])
  func cutAtAnyByteIsRefused(hasDescription: Bool, streamOffset: UInt64) throws {
    let tiny = try HostileImage(
      hasDescription: hasDescription, streamOffset: FileOffset(streamOffset))
    let whole = try tiny.judge("whole")
    #expect(whole.problems == [])
    var generator = SeededGenerator()
    let cuts = Set(tiny.structures.flatMap(Array.init) + tiny.samples(&generator) + [0])
    #expect(cuts.count > (hasDescription ? 800 : 500))
    for length in cuts.sorted(by: >) {
      try tiny.file.truncate(to: length)
      let image = try tiny.judge("cut at \(length)")
      #expect(image.isComplete == (length == tiny.eof + 1), "cut at \(length): \(image.problems)")
    }
  }

  /// What follows the end of the stream does not matter, whatever it is.
  @Test(arguments: [true, false])
  func bytesBehindTheEndAreIgnored(hasDescription: Bool) throws {
    let tiny = try HostileImage(hasDescription: hasDescription)
    let end = tiny.plan.end.rawValue
    var generator = SeededGenerator()
    // A byte 0x06 right behind the EOF byte would begin a description.
    for noise: [UInt8] in [[0], [1], [0xFF], [0] + generator.bytes(70_000), Array("{}".utf8)] {
      try tiny.file.truncate(to: end)
      try tiny.file.write(noise, at: end)
      let image = try tiny.judge("\(noise.count) bytes behind the end")
      #expect(image.isComplete)
      #expect(image.tail?.upperBound == FileOffset(end))
      #expect(image.remarks.contains(.bytesAfterEnd(ByteCount(noise.count))))
    }
  }
}
