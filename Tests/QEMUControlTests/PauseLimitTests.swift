import MappedRAMFormat
import Testing

@testable import QEMUControl

/// How long a save may pause a VM.
@Suite struct PauseLimitTests {
  /// A limit in MiB a second, the RAM in MiB, the seconds.
  @Test(
    arguments: [
      (nil, 0, 60), (nil, 25, 61), (nil, 8192, 387),
      // Slower than what the bound takes for a slow disk: 8 GiB at 20 MiB/s take 410 s.
      (20, 8192, 879), (1, 1024, 2108),
      // No slower.
      (50, 8192, 387), (1 << 40, 8192, 387),
    ] as [(UInt64?, UInt64, Int64)])
  func aSaveWithALimitOfBandwidthHasTheTimeForIt(
    limit: UInt64?, ram: UInt64, seconds: Int64
  ) {
    let found = VMSave(to: "/image").pauseLimit(
      ramByteCount: ByteCount(ram << 20), bytesPerSecond: limit.map { $0 << 20 })
    #expect(found.total == .seconds(seconds))
  }
}
