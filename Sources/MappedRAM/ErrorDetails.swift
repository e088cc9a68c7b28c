public import LinuxIO
import MappedRAMFormat
import SystemPackage

extension ImageError {
  /// What programs are told of it.
  public var details: ErrorDetails {
    switch self {
    case .format(let error, let path):
      ErrorDetails(.badData, path, offset: error.offset.rawValue)
    case .system(let error): error.details
    case .endedEarly(let path, let offset): ErrorDetails(.io, path, offset: offset)
    case .plan(let error): error.details
    case .target(let error): error.details
    case .save(let error): error.details
    case .device(_, let failure): failure.details
    case .contents(let path, .noSums): ErrorDetails(.unavailable, path)
    case .contents(let path, .damaged(let damage)),
      .contents(let path, .unreadableSums(let damage)):
      ErrorDetails(.badData, path, offset: damage.first?.place?.lowerBound.rawValue)
    case .contents(let path, .foreignSums): ErrorDetails(.badData, path)
    case .cancelled: ErrorDetails(.interrupted)
    }
  }
}

extension PlanError {
  /// What programs are told of it.
  public var details: ErrorDetails {
    switch self {
    case .unknownBlock, .noBlocks, .unknownDevice, .deviceTwice, .deviceName, .sectionWithoutSize,
      .sectionTaken, .tailTooLong, .tooManyDevices:
      ErrorDetails(.usage)
    case .sameFile(let path, _): ErrorDetails(.usage, path)
    // The files of a directory that do not fit each other: bad data, whoever wrote them.
    case .deviceTooLong, .mixedPageSizes: ErrorDetails(.badData)
    case .sourceSize(let path, _, _, _), .deviceSize(let path, _, _, _),
      .prefixLength(let path, _, _), .fileTooLong(let path, _, _), .manifest(let path, _):
      ErrorDetails(.badData, path)
    }
  }
}

extension TargetError {
  /// What programs are told of it.
  public var details: ErrorDetails {
    switch self {
    case .tooSmall(let path, _, _), .notAnImage(let path, _), .anotherVM(let path, _),
      .fileExists(let path), .usedByQEMU(let path), .otherAreas(let path),
      .copyOfItself(let path), .alreadySealed(let path):
      ErrorDetails(.cannotCreate, path)
    case .bytesBehindStream(let path, let offset, _):
      ErrorDetails(.cannotCreate, path, offset: offset)
    }
  }
}

extension SaveError {
  /// What programs are told of it.
  public var details: ErrorDetails {
    switch self {
    case .unreadable(let path, let error):
      ErrorDetails(.badData, path, offset: error.offset.rawValue)
    case .blockDiffers(let path, _, _, _): ErrorDetails(.badData, path)
    case .slotsDiffer(let path): ErrorDetails(.unavailable, path)
    case .doesNotConverge, .notHeld: ErrorDetails(.unavailable)
    }
  }
}

extension DeviceFailure {
  /// What programs are told of it.
  public var details: ErrorDetails {
    switch self {
    case .system(let error): error.details
    case .damaged(_, let offset): ErrorDetails(.badData, offset: offset)
    case .endedEarly, .tooLong, .sequence, .notAllTaken, .command, .refused, .stopped:
      ErrorDetails(.io)
    }
  }
}
