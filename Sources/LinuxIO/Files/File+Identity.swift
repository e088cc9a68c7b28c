import CLinux
import Glibc
package import SystemPackage

/// What a file or block device is, whatever its path, as stat(2) tells it.
package struct FileIdentity: Equatable, Hashable, Sendable {
  /// The device that the file is on; of a block device, itself (`st_rdev`).
  private let device: UInt64
  /// The file's number there; 0 for a block device, which several nodes may lead to.
  private let number: UInt64

  /// What is at `path`, after symbolic links; `nil` if nothing is, or it may not be looked at.
  package init?(at path: FilePath) {
    guard let found = try? Stat(path) else { return nil }
    let isDevice = found.type == .blockSpecial
    device = UInt64(isDevice ? found.specialDeviceID.rawValue : found.deviceID.rawValue)
    number = isDevice ? 0 : UInt64(found.inode.rawValue)
  }
}
