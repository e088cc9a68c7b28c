public import SystemPackage

/// Why nothing can be put where it is wanted: an image, or a file of a restore. Nothing was changed. The exception
/// is `tooSmall` of a live save or of a save with devices' states: there the size is known only once writing has begun.
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
