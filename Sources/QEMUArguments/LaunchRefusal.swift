/// Why a QEMU cannot be started for a restore with the arguments that the user gave.
public enum LaunchRefusal: Error, Equatable, Sendable {
  /// There is no program.
  case noProgram
  /// An option that takes a value stands at the end.
  case missingValue(option: String)
  /// An option that does not go together with a restore.
  case conflict(Conflict)
  /// A list or an object that we would have to understand.
  case unreadable(option: String, value: String)
  /// The image's block and the arguments differ in size; in bytes.
  case memorySize(idstr: String, image: UInt64, arguments: UInt64, option: String)
  /// A device whose other process would see the image instead of the guest's memory.
  case needsSharedMemory(option: String)
  /// A disk of which no overlay can be made here.
  case cannotClone(option: String, CloneObstacle)

  /// Why no overlay of a disk can be made here.
  public enum CloneObstacle: Equatable, Sendable {
    /// It is no local file or device.
    case noFile
    /// It has a format of which no overlay can be made here.
    case format(String)
    /// Its format is not given, or is not what is in the file.
    case unknownFormat(file: String)
    /// It is encrypted.
    case encrypted(file: String)
    /// A property that an overlay does not have.
    case property(String)
    /// Options in a file are not seen by us.
    case unseen
  }

  /// The options that do not go together with a restore.
  public enum Conflict: String, CaseIterable, Sendable {
    case incoming, daemonize, preconfig, loadvm
  }
}

/// What the user should know about a QEMU that is started on a mapped image.
public enum LaunchNote: Equatable, Sendable {
  /// The memory of this backend is not mapped, since the device `driver` needs memory of its own.
  case keptBackend(id: String, driver: String)
  /// The backend was shared; mapped, it is QEMU's alone.
  case notShared(id: String)
  /// The file or the kind of pages that the option asks for is not used for the mapped memory.
  case notUsed(option: String)
  /// A balloon is there: what it takes from the guest stays in use, and takes memory where the guest writes to it before.
  case balloonKeepsMemory(driver: String)
  /// All memory is locked, hence read from the image at once.
  case lockedMemory
  /// Options in a file are not seen by us.
  case unseen(file: String)
  /// A clone has no device that tells its guest so.
  case noGenerationID
  /// All clones have this generation ID.
  case sameGenerationID(String)
  /// The image is in memory, on a file system with less room, in bytes, than its holes may take as VMs touch them.
  case imageInMemory(path: String, available: UInt64, neededAtMost: UInt64)
}
