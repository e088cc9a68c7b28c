public import LinuxIO
public import LinuxProcesses
public import MappedRAM
import MappedRAMFormat
public import QMP
public import SystemPackage

/// Why a VM could not be saved, restored or inspected.
public enum VMError: Error, Equatable, Sendable {
  /// Talking with QEMU failed. Where that was cancelled, the error is `image(.cancelled)`, as of all other work.
  case qmp(QMPError)
  /// An image, or moving its pages, failed.
  case image(ImageError)
  /// A system call on something else failed.
  case system(SystemCallError)
  /// The VM is in a state in which this cannot be done.
  case state(found: String, expected: [String])
  /// This QEMU does not know mapped-ram.
  case tooOld(QEMUVersion)
  /// The VM cannot be captured, for these reasons; whether QEMU could do by itself what was asked for.
  case cannotCapture([CaptureObstacle], canUseQEMU: Bool = true)
  /// The VM cannot be saved live as it is at one moment, for these reasons.
  case cannotProtect([ProtectionObstacle])
  /// QEMU's own migration out of a file or into it failed, with QEMU's words if it has any, and where there is more to know.
  case migrationFailed(FilePath, reason: String?, hints: [MigrationHint] = [])
  /// QEMU itself cannot save into a device; why there is no capture, where the choice was ours.
  case deviceByQEMU(FilePath, [CaptureObstacle])
  /// QEMU itself writes its own layout alone; why there is no capture, where the choice was ours.
  case layoutByQEMU([CaptureObstacle])
  /// QEMU itself had better not read the memory of this VM, and why; why there is no capture, where the choice was ours.
  case notByQEMU([SaveObstacle], [CaptureObstacle])
  /// QEMU refused to resume the VM, while another program has these disks.
  case disksTaken([String], refusal: QMPError)
  /// A clone would write to these disks, which are no overlays that were made for it.
  case sharedDisks([String])
  /// Disks were written to since the moment of the image.
  case disksWentOn(FilePath, [Deviation])
  /// The VM is not the one that the image needs.
  case mismatches(FilePath, [Mismatch])
  /// The file that a snapshot is to be made in is there already.
  case snapshotExists(FilePath)
  /// There is no directory for snapshots at the path; what there is.
  case noSnapshotDirectory(FilePath, found: InodeType?)
  /// The file of a disk is known by a path relative to QEMU's working directory, which cannot be found: a snapshot of it would not
  /// say what it is based on.
  case relativeDisk(disk: String, file: String)
  /// The file of a disk has no name any more, and neither would a snapshot of it have one.
  case unlinkedDisk(disk: String)
  /// A disk is encrypted, and what is written to a snapshot of it would not be.
  case encryptedDisk(disk: String)
  /// A disk is behind a filter with this driver, and QEMU does not tell what that stands on, which a snapshot has to name.
  case filteredDisk(disk: String, driver: String)
  /// The disk that shows this node was resized, changed, added or taken away while the VM was saved.
  case diskChanged(node: String)
  /// The save failed, and snapshots of disks could not be undone, as yet: as far as it is known, the VM writes to these files. A watchdog
  /// keeps trying, if there is one.
  indirect case snapshotsRemain(
    [FilePath], cause: VMError?, reason: QMPError, isWatched: Bool)
  /// The VM could not be resumed, as yet: it is paused. The cause is why the save failed, if it did. A watchdog keeps trying, if
  /// there is one.
  indirect case leftPaused(cause: VMError?, reason: QMPError, isWatched: Bool)
  /// The VM runs, but settings or descriptors could not be set back, as yet.
  indirect case notUndone(cause: VMError?, reason: QMPError, isWatched: Bool)
  /// The VM was not resumed, as it is in this state, into which another client, or its guest, has brought it.
  indirect case leftAlone(state: String, cause: VMError?)
  /// The VM was not resumed, as its guest was asleep when QEMU saved it; whether the VM could have been captured.
  indirect case asleep(cause: VMError?, canCapture: Bool = true)
  /// The VM was paused for longer than it may be, and its watchdog has resumed it, or tries to.
  case pausedTooLong(isResumed: Bool)
  /// Another client resumed the VM while it was saved.
  case resumedMeanwhile
  /// Another client has migrated the VM, or brought it into this state in another way, while it was saved.
  case movedMeanwhile(state: String)
  /// Another client has cancelled QEMU's migration.
  case migrationCancelled(FilePath)
  /// QEMU has ended while the VM was saved.
  case gone
  /// libvirt runs the VM, as a domain of this name.
  case managedByLibvirt(domain: String?)
  /// The image is to take the place of a file that the VM uses, and what for.
  case usedByVM(FilePath, FileUse)
  /// The image does not fit on the file system.
  case noRoom(FilePath, available: UInt64, neededAtLeast: UInt64)
  /// Snapshots are to be taken in a live save by QEMU, which has no moment for them.
  case liveSnapshots
  /// QEMU could not be started.
  case launch(LaunchError)
  /// QEMU ended before it could take the image; what it said, unless the user saw it.
  case ended(ChildEnd, messages: String)
  /// The engine cannot do this, and why.
  case cannotMap(MapObstacle)
}

/// What helps to understand why a migration failed, or to do without it.
public enum MigrationHint: Equatable, Sendable {
  /// What QEMU wrote to its standard error.
  case said(String)
  /// QEMU's log, which is to be read.
  case log(FilePath)
  /// QEMU's standard error, which this process does not have.
  case standardError
  /// A save by QEMU opens the disks again at its end, which these jobs may keep it from.
  case jobs([String])
  /// The VM can be captured.
  case canCapture
}

/// Why a VM cannot run on the image itself.
public enum MapObstacle: Equatable, Sendable {
  /// QEMU does not have any of its memory from the image at this path.
  case notMapped(FilePath)
  /// So many bytes of old versions of pages are in the image that the VM would need much memory to hide them.
  case staleSlots(FilePath, found: UInt64, limit: UInt64)
  /// None of the image's blocks is memory that QEMU's arguments can take from a file.
  case noBlock(FilePath)
}

extension VMError {
  /// The error of a conversation with QEMU.
  init(_ error: QMPError) {
    self = error == .cancelled ? .image(.cancelled) : .qmp(error)
  }

  /// What `body` gives, a conversation with QEMU, with its error as one of these.
  package static func asking<Value>(
    _ body: () throws(QMPError) -> Value
  ) throws(VMError) -> Value {
    do throws(QMPError) {
      return try body()
    } catch {
      throw VMError(error)
    }
  }

  /// The VM is in the state `state`, in which it cannot be saved or resumed.
  static func notRunning(_ state: RunState) -> VMError {
    .state(found: state.rawValue, expected: ["running", "paused"])
  }
}
