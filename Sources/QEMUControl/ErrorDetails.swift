public import LinuxIO
import MappedRAM
import QEMUArguments
import QMP
import SystemPackage

extension VMError {
  /// What programs are told of it.
  public var details: ErrorDetails {
    switch self {
    case .image(let error): error.details
    case .system(let error): error.details
    case .qmp(let error): error.details
    case .launch(let error): error.details
    case .cannotCapture(let obstacles, _), .layoutByQEMU(let obstacles),
      .notByQEMU(_, let obstacles):
      Self.details(obstacles)
    case .deviceByQEMU(let path, let obstacles): Self.details(obstacles, path)
    case .leftPaused(let cause?, _, _), .notUndone(let cause?, _, _), .leftAlone(_, let cause?),
      .asleep(let cause?, _), .snapshotsRemain(_, let cause?, _, _):
      cause.details
    case .mismatches(let path, _), .disksWentOn(let path, _): ErrorDetails(.differs, path)
    case .usedByVM(let path, _), .snapshotExists(let path), .noSnapshotDirectory(let path, _),
      .noRoom(let path, _, _):
      ErrorDetails(.cannotCreate, path)
    case .migrationFailed(let path, _, _), .migrationCancelled(let path),
      .cannotMap(.notMapped(let path)), .cannotMap(.staleSlots(let path, _, _)),
      .cannotMap(.noBlock(let path)):
      ErrorDetails(.unavailable, path)
    case .state, .leftPaused, .notUndone, .leftAlone, .asleep, .pausedTooLong, .resumedMeanwhile,
      .movedMeanwhile, .gone, .tooOld, .disksTaken, .relativeDisk, .unlinkedDisk, .encryptedDisk,
      .filteredDisk, .diskChanged, .snapshotsRemain, .ended, .liveSnapshots, .managedByLibvirt,
      .cannotProtect, .sharedDisks:
      ErrorDetails(.unavailable)
    }
  }

  private static func details(_ obstacles: [CaptureObstacle], _ path: FilePath? = nil)
    -> ErrorDetails
  {
    for case .notPermitted(let error) in obstacles {
      var details = ErrorDetails(.notPermitted, path)
      details.systemCall = error
      return details
    }
    return ErrorDetails(.unavailable, path)
  }
}

extension LaunchError {
  /// What programs are told of it.
  public var details: ErrorDetails {
    switch self {
    case .socketTaken(let path), .socketInUse(let path, _), .notALog(let path), .noReader(let path),
      .overlayExists(let path):
      return ErrorDetails(.cannotCreate, FilePath(path))
    case .refused: return ErrorDetails(.usage)
    case .system(let error):
      var details = error.details
      if error.call == .execvp, error.errno == .noSuchFileOrDirectory {
        details.kind = .unavailable
      }
      return details
    }
  }
}
