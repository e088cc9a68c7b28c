import CLinux
import Glibc
public import SystemPackage

extension File {
  /// What the file is, whatever its path.
  ///
  /// - Throws: what fstat gives.
  public func identity() throws(SystemCallError) -> FileIdentity {
    FileIdentity(try status(of: buffered.rawValue, path))
  }
}

extension FileIdentity {
  /// What is at `path`, after symbolic links; `nil` if nothing is, or it may not be looked at.
  ///
  /// A block device is what it is the device of, whichever node leads to it: the device's numbers, and 0.
  public init?(at path: FilePath) {
    var found = stat()
    // SAFETY: the path's bytes end with a zero; `found` is filled and not kept.
    guard unsafe path.withPlatformString({ unsafe stat($0, &found) }) == 0 else { return nil }
    self.init(usedAs: found)
  }

  /// As the other, of metadata.
  init(usedAs found: stat) {
    guard InodeType(mode: found.st_mode) == .blockDevice else {
      self.init(found)
      return
    }
    self.init(major: 0, minor: 0, number: 0)
    // SAFETY: both are numbers of this value.
    unsafe CLinux_deviceNumbers(UInt64(found.st_rdev), &major, &minor)
  }
}
