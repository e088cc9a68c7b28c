import MappedRAMFormat
import Testing

@testable import QEMUControl

/// How long a save may pause a VM.
@Suite struct PauseLimitTests {
  @Test(arguments: [
    (UInt64?.none, 0, 60), (nil, 25 << 20, 61), (nil, 8 << 30, 60 + 327),
    // Slower than what the bound takes for a slow disk: 8 GiB at 20 MiB/s take 410 s.
    (20 << 20, 8 << 30, 60 + 819), (1 << 20, 1 << 30, 60 + 2048),
    // No slower, up to any.
    (50 << 20, 8 << 30, 60 + 327), (.max, 8 << 30, 60 + 327), (1, 1, 61),
  ])
  func aSaveWithALimitOfBandwidthHasTheTimeForIt(
    bytesPerSecond: UInt64?, ramBytes: UInt64, seconds: Int64
  ) {
    var save = VMSave(to: "/image")
    save.options.bytesPerSecond = bytesPerSecond
    #expect(save.pauseLimit(ramByteCount: ByteCount(ramBytes)).total == .seconds(seconds))
  }
}
