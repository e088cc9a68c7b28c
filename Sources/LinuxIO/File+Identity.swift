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

/// What a file is, whatever its path, as stat(2) tells it.
public struct FileIdentity: Equatable, Hashable, Sendable {
  /// The first of the device's numbers.
  public var major: UInt32
  /// The second one.
  public var minor: UInt32
  /// The number on the device; 0 for no file.
  public var number: UInt64

  /// An identity of its parts.
  public init(major: UInt32, minor: UInt32, number: UInt64) {
    self.major = major
    self.minor = minor
    self.number = number
  }

  init(_ status: stat) {
    self.init(major: 0, minor: 0, number: UInt64(status.st_ino))
    // SAFETY: both are numbers of this value.
    unsafe CLinux_deviceNumbers(UInt64(status.st_dev), &major, &minor)
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
