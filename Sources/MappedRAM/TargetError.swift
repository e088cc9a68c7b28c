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
  /// The image has areas behind its stream, and nothing can be added to them where they are.
  case otherAreas(FilePath)
  /// A copy of an image is to take the place of the image itself.
  case copyOfItself(FilePath)
  /// A copy with checksums is wanted of an image that has some.
  case alreadySealed(FilePath)
  /// Something of somebody else's stands behind the stream, and would be lost: where, and how many bytes.
  case bytesBehindStream(FilePath, at: UInt64, UInt64)
  /// A QEMU has the file or device as a disk.
  case usedByQEMU(FilePath)
}
