import LinuxIO
import LinuxProcesses
import MappedRAM
import QMP
import SystemPackage

extension VMError: CustomStringConvertible {
  /// What was found, what was expected, what to do.
  public var description: String {
    switch self {
    case .qmp(let error): error.description
    case .image(let error): error.description
    case .system(let error): error.description
    case .state(let found, let expected):
      "The VM's state is \"\(found)\"; expected \(expected.joined(separator: " or ")). "
        + (expected == ["inmigrate"]
          ? "Start its QEMU with -incoming defer." : "Try again when it has changed.")
    case .tooOld(let version):
      "QEMU \(version.description) does not have mapped-ram; 9.0 or newer is needed."
    case .cannotCapture(let obstacles, _):
      "QEMU's memory cannot be used from outside: "
        + obstacles.map(\.description).joined(separator: " ")
    case .cannotProtect(let obstacles):
      "The VM cannot be saved by a snapshot of its memory: "
        + obstacles.map(\.description).joined(separator: " ")
    case .migrationFailed(let path, let reason, let hints):
      ([
        "\(path): QEMU's migration failed: "
          + "\(reason ?? "it gave no reason; see its stderr")."
      ] + hints.map(\.description)).joined(separator: " ")
    case .deviceByQEMU(let path, let obstacles):
      (["\(path): QEMU cannot save into a block device by itself, and a capture"]
        + (obstacles.isEmpty
          ? ["can."] : ["is not possible."] + obstacles.map(\.description))
        + ["A file will do."]).joined(separator: " ")
    case .notByQEMU(let obstacles, let reasons):
      ((reasons.isEmpty
        ? [] : ["QEMU's memory cannot be used from outside:"] + reasons.map(\.description))
        + ["QEMU was not told to save the VM by itself:"] + obstacles.map(\.description))
        .joined(separator: " ")
    case .layoutByQEMU(let obstacles):
      (["QEMU itself writes only the layout 1M, and a capture"]
        + (obstacles.isEmpty ? ["can write others."] : ["is not possible."])
        + obstacles.map(\.description)).joined(separator: " ")
    case .disksTaken(let disks, let refusal):
      "\(refusal) Another process uses \(disks.joined(separator: ", ")), probably the VM that was saved: end that, then restore again."
    case .sharedDisks(let disks):
      "This clone would write to \(disks.joined(separator: ", ")), which other clones have as well: nothing was restored. Disks that a script "
        + "or a file gives to QEMU are not seen: give them on the command line, or start QEMU on overlays of your own."
    case .disksWentOn(let path, let deviations):
      "\(path): NOT RESTORED: "
        + deviations.map(\.description).joined(separator: " ")
        + " Restore with the disks as they were: a snapshot or a copy of that time."
    case .mismatches(let path, let mismatches):
      "\(path): this VM does not match the image:"
        + mismatches.map { "\n  - \($0.description)" }.joined()
    case .snapshotExists(let path):
      "\(path): this file for a snapshot exists already. Remove it, or choose another directory."
    case .noSnapshotDirectory(let path, nil):
      "\(path): no such directory for snapshots: nothing was changed. Create it, or choose another one."
    case .noSnapshotDirectory(let path, let found?):
      "\(path): is a \(found.rawValue), but snapshots need a directory: nothing was changed. Choose another one."
    case .relativeDisk(let disk, let file):
      "Disk \(disk) has the file \"\(file)\" in QEMU's working directory, which cannot be found: a snapshot of it could not be "
        + "opened later. Start QEMU with absolute paths, or save without snapshots."
    case .unlinkedDisk(let disk):
      "\(DiskPlaces.unlinked([disk])) QEMU would remove the file of a snapshot as well: nothing was changed. Save without snapshots, or "
        + "start QEMU without -snapshot, on an overlay of your own (qemu-img create -b)."
    case .encryptedDisk(let disk):
      "Disk \(disk) is encrypted, and what the guest writes to a snapshot of it would not be: nothing was changed. Save without snapshots, or "
        + "make the snapshot yourself, with a key."
    case .filteredDisk(let disk, let driver):
      "Disk \(disk) is behind a filter (\(driver)), and QEMU does not tell what that stands on, which a snapshot has to name: nothing was "
        + "changed. Save without snapshots, or take the filter away."
    case .diskChanged(let node):
      "A disk (node \"\(node)\") was resized, changed, added or taken away while the VM was saved, so the snapshots would not fit: nothing was saved. "
        + "Try again."
    case .snapshotsRemain(let paths, let cause, let reason, let isWatched):
      Self.text(
        cause,
        "The snapshots of the disks could not be undone: the VM now writes to "
          + "\(paths.map(\.string).joined(separator: ", ")). \(reason)"
          + (isWatched ? " A watchdog keeps trying for an hour." : ""))
    case .leftPaused(let cause, let reason, let isWatched):
      Self.text(
        cause,
        "The VM \(reason.isRefusal ? "is still" : "may still be") paused; resuming it failed: \(reason) "
          + (isWatched
            ? "A watchdog keeps trying for an hour; or resume it with the QMP command cont."
            : "Resume it with the QMP command cont."))
    case .notUndone(let cause, let reason, let isWatched):
      Self.text(
        cause,
        "Migration settings of the VM could not be restored: \(reason)"
          + (isWatched ? " A watchdog keeps trying for an hour." : ""))
    case .leftAlone(let state, let cause):
      Self.text(
        cause,
        "QEMU's state is now \"\(state)\", which this command did not cause, so the VM was not resumed."
      )
    case .asleep(let cause, _):
      Self.text(
        cause,
        "The guest was asleep (suspended) when QEMU saved it, and QEMU would crash if it were resumed: its state is "
          + "\"postmigrate\".")
    case .pausedTooLong(let isResumed):
      "The VM was paused for too long, so the watchdog "
        + (isResumed ? "has resumed it" : "tries to resume it")
        + ": nothing was saved. Find out what delayed the save."
    case .resumedMeanwhile:
      "Another client resumed the VM during the save: nothing was saved. Save it when no other client controls it."
    case .movedMeanwhile(let state):
      "Another client migrated the VM, or changed its state, during the save: its state is now \"\(state)\". "
        + "Nothing was saved, and the VM was left as it is."
    case .migrationCancelled(let path):
      "\(path): another client cancelled QEMU's migration: nothing was saved. Save the VM when no other client controls it."
    case .gone: "QEMU ended during the save: nothing was saved."
    case .noRoom(let path, let available, let needed):
      "\(path): \(available) bytes are free on the file system, and the image needs at least \(needed): nothing was changed. Choose "
        + "another place, or free space."
    case .managedByLibvirt(let domain):
      "libvirt manages this VM (domain \"\(domain ?? "?")\"), and does not expect another client to pause it: nothing was changed. "
        + "Use virsh save, which writes this format from libvirt 11.2 on (save_image_format = \"sparse\" in qemu.conf)."
    case .usedByVM(let path, let use):
      "\(path): the VM uses this as \(use): nothing was changed. Choose another name for the image."
    case .liveSnapshots:
      "QEMU's own live save has no moment for snapshots of the disks. Save without one of the two, or by capture."
    case .launch(let error): error.description
    case .ended(let end, let messages):
      "QEMU ended (\(Self.text(end))) before it could load the image."
        + (messages.isEmpty ? "" : " It said: \(messages)")
    case .cannotMap(.notMapped(let path)):
      "\(path): QEMU's memory is not mapped from this image. Start QEMU with a "
        + "memory-backend-file whose mem-path, offset and size are those of the block, share=off,readonly=on,rom=off, "
        + "or use another engine."
    case .cannotMap(.staleSlots(let path, let found, let limit)):
      "\(path): slots of absent pages hold \(found) bytes of older versions, which each VM on this image would have to hide in memory of "
        + "its own; at most \(limit) are allowed. Free them, or use another engine."
    case .cannotMap(.noBlock(let path)):
      "\(path): none of the image's RAMBlocks is memory that QEMU's arguments can take from a file. Use another engine."
    }
  }

  /// `sentence`, after what it is a consequence of.
  private static func text(_ cause: VMError?, _ sentence: String) -> String {
    ([cause?.description, sentence].compactMap { $0 }).joined(separator: " ")
  }

  private static func text(_ end: ChildEnd) -> String {
    switch end {
    case .exited(let status): "status \(status)"
    case .killed(let signal, _): "signal \(signal)"
    }
  }
}

extension MigrationHint: CustomStringConvertible {
  /// A sentence or two.
  public var description: String {
    switch self {
    case .said(let text): "It said: \(text)"
    case .log(let path): "\(path) has what it said."
    case .standardError: "See also its stderr."
    case .jobs(let jobs):
      "At the end QEMU opens its disks again, which the jobs \(jobs.joined(separator: ", ")) may be in the way of."
    case .canCapture: "For a capture, QEMU does not have to."
    }
  }
}
