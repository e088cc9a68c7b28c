import LinuxIO
public import SystemPackage

/// Something that a save goes on in spite of, and that its user should know before.
public enum VMSaveWarning: Equatable, Sendable {
  /// The image may need more than its file system has left: then the save fails, and the VM goes on.
  case mayNotFit(FilePath, available: UInt64, neededAtMost: UInt64)
  /// Others than its owner may read the file that the image is written into, with its guest's memory; its permissions.
  case othersMayRead(FilePath, permissions: UInt32)
  /// These disks have files without names: what is in them is lost when QEMU ends, and the image fits no disk then.
  case unlinkedDisks([String])
  /// There is no program of this name that could watch over the save.
  case noWatchdog(String)
}

extension VMSaveWarning {
  /// `othersMayRead` of the regular file at `path`, which is to be written where it is; `nil` where only its owner may.
  public init?(ofReadersOf path: FilePath) {
    guard let permissions = File.permissions(at: path), permissions & 0o044 != 0 else {
      return nil
    }
    self = .othersMayRead(path, permissions: permissions)
  }
}

extension VMSaveWarning: CustomStringConvertible {
  /// A sentence or two.
  public var description: String {
    switch self {
    case .mayNotFit(let path, let available, let needed):
      "\(path): \(available) bytes are free on the file system, and the image needs up to \(needed), and the device state. If it does "
        + "not fit, the save fails, and the VM goes on as before."
    case .othersMayRead(let path, let permissions):
      "\(path): its permissions (\(String(permissions, radix: 8))) let others read it, and with the image all that is in the guest's "
        + "memory. Take them away (chmod go-r), or let the image be a new file."
    case .unlinkedDisks(let disks):
      "\(DiskPlaces.unlinked(disks)) The image then fits no disk. Copy them over QMP (blockdev-backup) while the VM is paused, if what is in "
        + "them matters."
    case .noWatchdog(let program):
      "\(program): there is no such program, or it is another one, so nobody watches over this save: if it is killed, the VM may stay "
        + "paused."
    }
  }
}
