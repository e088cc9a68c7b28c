public import MappedRAMFormat
public import SystemPackage

/// Why what was saved did not become an image. Nothing was kept.
public enum SaveError: Error, Equatable, Sendable {
  /// What was written does not read as an image: the device state is not what it should be.
  case unreadable(FilePath, FormatError)
  /// A block of the image that another program wrote has another used length than the VM's, or only one of the two has it (`nil`).
  case blockDiffers(FilePath, idstr: String, found: UInt64?, expected: UInt64?)
  /// A live save would pause the VM for longer than it may, and further rounds would not help.
  case doesNotConverge(
    rounds: Int, expected: Duration, wanted: Duration, dirtyBytesPerSecond: Double?)
  /// The blocks of the VM have changed while it was saved live.
  case slotsDiffer(FilePath)
  /// The memory of a VM that runs was not held as it was until all of it had been read.
  case notHeld
}
