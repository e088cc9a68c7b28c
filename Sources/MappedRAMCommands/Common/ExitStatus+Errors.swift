import LinuxIO
import MappedRAM
import QEMUControl
import QMP
import SystemPackage

extension ExitStatus {
  /// The status for `error`.
  init(_ error: CommandError) {
    switch error {
    case .image(let error, let output): self.init(error, output: output)
    case .vm(let error, let output): self.init(error, output: output)
    case .system(let error): self.init(error, output: nil)
    case .manifestAndOptions, .offsetWithPrefix, .otherCommand, .notForVM: self = .usage
    case .noManifest, .mismatch: self = .ioError
    case .notAPicture: self = .cannotCreate
    case .interruptedInPlace, .interruptedCompacting: self = .interrupted
    case .notABench, .incomparable: self = .badData
    case .notEnoughMemory, .noProgram, .programFailed: self = .unavailable
    }
  }

  /// The status for `error`, of a command that was to make `output`: a file, or a directory with files in it.
  init(_ error: ImageError, output: FilePath?) {
    switch error {
    case .format: self = .badData
    case .system(let error): self.init(error, output: output)
    case .endedEarly: self = .ioError
    case .plan(let error): self.init(error)
    case .device(_, let failure): self.init(failure, output: output)
    case .cancelled: self = .interrupted
    }
  }

  /// The status for `error`, of a command about a VM that was to make `output`.
  private init(_ error: VMError, output: FilePath?) {
    switch error {
    case .image(let error): self.init(error, output: output)
    case .system(let error): self.init(error, output: output)
    case .qmp(let error): self.init(error)
    case .cannotCapture(let obstacles), .deviceByQEMU(_, let obstacles):
      self = obstacles.contains(where: \.isMissingPermission) ? .notPermitted : .unavailable
    case .leftPaused(let cause?, _, _), .notUndone(let cause?, _, _), .leftAlone(_, let cause?),
      .asleep(let cause?):
      self.init(cause, output: output)
    case .mismatches: self = .negative
    case .usedByVM, .snapshotExists, .noSnapshotDirectory, .noRoom: self = .cannotCreate
    case .launch(.socketTaken), .launch(.socketInUse),
      .launch(.notALog), .launch(.noReader):
      self = .cannotCreate
    case .launch(.refused): self = .usage
    case .launch(.system(let error)): self.init(starting: error)
    case .state, .leftPaused, .notUndone, .leftAlone, .asleep, .pausedTooLong, .resumedMeanwhile,
      .movedMeanwhile, .migrationCancelled, .gone, .tooOld, .migrationFailed, .disksTaken,
      .relativeDisk,
      .unlinkedDisk, .encryptedDisk, .filteredDisk, .diskChanged,
      .snapshotsRemain, .ended, .cannotMap, .liveSnapshots, .managedByLibvirt:
      self = .unavailable
    }
  }

  private init(_ error: QMPError) {
    switch error {
    case .system(let error) where [.permissionDenied, .notPermitted].contains(error.errno):
      self = .notPermitted
    default: self = .unavailable
    }
  }

  /// The status for `error`, which came when QEMU was started.
  private init(starting error: SystemCallError) {
    self =
      error.call == .execvp && error.errno == .noSuchFileOrDirectory
      ? .unavailable : ExitStatus(error, output: nil)
  }

  private init(_ error: SystemCallError, output: FilePath?) {
    switch (error.subject, error.errno) {
    case (.unsuitable(let path, _, _), _):
      self = path.isPart(of: output) ? .cannotCreate : .badData
    case (.directIO, _): self = .unavailable
    case (.outside, _): self = .badData
    case (_, .permissionDenied), (_, .notPermitted): self = .notPermitted
    default:
      let isPathsFault = Self.pathErrors.contains(error.errno)
      self =
        isPathsFault && error.subject.path?.isPart(of: output) == true ? .cannotCreate : .ioError
    }
  }

  /// What is wrong with a path, and not with the bytes in the file.
  private static let pathErrors: [Errno] = [
    .noSuchFileOrDirectory, .notDirectory, .isDirectory, .fileExists, .readOnlyFileSystem,
    .fileNameTooLong, .tooManySymbolicLinkLevels, .resourceBusy, .wouldBlock,
  ]

  /// The status for the failure of a device's own source or target.
  private init(_ failure: DeviceFailure, output: FilePath?) {
    switch failure {
    case .system(let error): self.init(error, output: output)
    case .endedEarly, .tooLong, .sequence, .notAllTaken, .command, .refused, .stopped:
      self = .ioError
    }
  }

  private init(_ error: PlanError) {
    switch error {
    case .unknownBlock, .noBlocks, .unknownDevice, .deviceTwice, .deviceName, .sectionWithoutSize,
      .sectionTaken,
      .tailTooLong, .tooManyDevices:
      self = .usage
    case .targetTooSmall, .notAnImage, .anotherVM, .fileExists, .usedByQEMU: self = .cannotCreate
    case .stuck, .slotsDiffer: self = .unavailable
    // The files of a directory that do not fit each other: bad data, whoever wrote them.
    case .sourceSize, .deviceSize, .deviceTooLong, .mixedPageSizes, .prefixLength, .fileTooLong,
      .manifest, .writtenImage, .blockDiffers:
      self = .badData
    }
  }
}

extension SystemCallError.Subject {
  /// The file that it is about.
  fileprivate var path: FilePath? {
    switch self {
    case .file(let path), .range(let path, _), .unsuitable(let path, _, _), .foreignLink(let path),
      .directIO(let path, _), .outside(let path, _, _):
      path
    case .ring, .memory, .thread, .process, .processMemory, .socket: nil
    }
  }
}

extension FilePath {
  /// Whether this is `output`, or a file in it.
  fileprivate func isPart(of output: FilePath?) -> Bool {
    output.map { starts(with: $0) } ?? false
  }
}
