import LinuxIO
import MappedRAM
import MappedRAMFormat

extension FileMigration {
  /// The channels that QEMU saves with: one.
  ///
  /// When a write fails, QEMU 10.0.2 frees the bitmaps of the mapped-ram file while its other channels may still have pages to
  /// write, and the VM dies with it (SIGSEGV; tried on full disks: with 8 channels 5 VMs of 900, with one none of 9,200). A single
  /// channel ends with its own error. It is as fast as 8 where the disk sets the speed, and takes up to twice as long where
  /// most pages are zero (our measurement: `Tests/Benchmarks/Measured`).
  static let savingChannels = 1

  /// The channels that QEMU loads fastest with, as far as it was measured, also on two processors.
  static let loadingChannels = 8

  /// The longest pause that QEMU can be allowed (QEMU 10.0.2 refuses more than 2,000 s).
  private static let longestPause = Duration.seconds(2000)

  /// QEMU's parameters for a save into a mapped-ram file at full speed, or as `live` says.
  static func savingParameters(direct: Bool, live: LiveOptions? = nil) -> [String: JSONValue] {
    var parameters = parameters(channels: savingChannels, direct: direct)
    if let live {
      let pause = min(live.maximumPause, longestPause)
      parameters["downtime-limit"] = .integer(Int64(pause.wholeMilliseconds))
      parameters["max-bandwidth"] = .integer(Int64(clamping: live.bytesPerSecond ?? 0))
    }
    return parameters
  }

  /// QEMU's parameters for loading a mapped-ram file at full speed.
  static func loadingParameters(direct: Bool) -> [String: JSONValue] {
    parameters(channels: loadingChannels, direct: direct)
  }

  private static func parameters(channels: Int, direct: Bool) -> [String: JSONValue] {
    [
      "multifd-channels": .integer(Int64(channels)), "multifd-compression": "none",
      "direct-io": .bool(direct), "max-bandwidth": 0,
    ]
  }
}
