public import MappedRAMFormat
public import SystemPackage

/// Why nothing can be put where it is wanted: an image, or a file of a restore. Nothing was changed.
public enum TargetError: Error, Equatable, Sendable {
  /// It is a device that is too small.
  case tooSmall(FilePath, found: UInt64, needed: UInt64)
  /// What is at the path is no image, and would be lost; what it is, if that is known.
  case notAnImage(FilePath, found: String?)
  /// What is at the path is an image of another VM, and would be lost; in what the two differ.
  case anotherVM(FilePath, [String])
  /// A file is there already, and would be lost.
  case fileExists(FilePath)
  /// A QEMU has the file or device as a disk.
  case usedByQEMU(FilePath)
}

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
}
