import MappedRAMFormat
import Testing

@testable import QEMUControl

/// How long a save may pause a VM.
@Suite struct PauseLimitTests {
  /// A limit in bytes a second, the RAM in bytes, the seconds.
  @Test(
    arguments: [
      (nil, 0, 60), (nil, 25 << 20, 61), (nil, 8 << 30, 387),
      // Slower than what the bound takes for a slow disk: 8 GiB at 20 MiB/s take 410 s.
      (20 << 20, 8 << 30, 879), (1 << 20, 1 << 30, 2108), (1, 1, 61),
      // No slower.
      (50 << 20, 8 << 30, 387), (.max, 8 << 30, 387),
    ] as [(UInt64?, UInt64, Int64)])
  func aSaveWithALimitOfBandwidthHasTheTimeForIt(
    limit: UInt64?, ram: UInt64, seconds: Int64
  ) {
    let found = VMSave(to: "/image").pauseLimit(
      ramByteCount: ByteCount(ram), bytesPerSecond: limit)
    #expect(found.total == .seconds(seconds))
  }
}
