import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import SystemPackage

/// What an image says of the VM that it is of.
struct VMFacts {
  private let facts: ImageFacts
  /// Files of `facts.disks` whose states tell whether they were written to, in the same order.
  private let files: [FilePath?]

  /// What is known of `vm` while it still runs.
  ///
  /// - Parameters:
  ///   - process: QEMU's process, where it is known.
  ///   - closesDisks: whether the VM's disks are as they are at the moment of the image when QEMU closes them, later.
  init(of vm: RunningVM, _ places: DiskPlaces, process: ProcessHandle?, closesDisks: Bool) {
    let disks = vm.writableDisks
    facts = ImageFacts(
      host: Machine.hostName, tool: "mapped-ram", name: vm.name, uuid: vm.uuid,
      qemuVersion: vm.version.description,
      commandLine: process.map { Self.commandLine(of: $0.processID) } ?? [],
      memoryDevices: vm.memoryDevices.compactMap(\.facts),
      disks: disks.map { disk in
        ImageFacts.DiskFacts(
          name: disk.label, file: places.name(of: disk), format: disk.medium?.driver ?? "",
          guestByteCount: disk.medium?.virtualByteCount)
      })
    files = disks.map { disk in
      // What QEMU writes as it closes the file comes later.
      guard let medium = disk.medium, !(closesDisks && medium.isWrittenWhenClosed),
        !medium.hasDataFile, !places.isUnlinked(disk)
      else { return nil }
      return medium.bottomFile.flatMap { places.absoluteName(of: $0) }.map { FilePath($0) }
    }
  }

  /// The same of the VM that `job` saves; `nil` where the image is to say nothing of it.
  init?(of job: SaveJob) {
    guard job.save.hasFacts else { return nil }
    self.init(
      of: job.vm, DiskPlaces(of: job.vm, processID: job.save.processID),
      process: job.session.process,
      closesDisks: job.save.snapshotDirectory == nil
        && !job.save.afterwards.resumes(from: job.vm.runState))
  }

  /// The facts of this moment. Call it while the VM is paused: QEMU has flushed its disks then, and given them their overlays.
  func now() -> ImageFacts {
    var facts = facts
    facts.time = Int64(time(nil))
    for (index, file) in files.enumerated() {
      facts.disks[index].state = file.flatMap { ImageFacts.FileState(of: $0) }
    }
    return facts
  }

  /// The words of a process's command line; none where it has ended.
  static func commandLine(of processID: Int32) -> [String] {
    ((try? ProcessText.words(of: FilePath("/proc/\(processID)/cmdline"))) ?? [])
      .map { String(decoding: $0, as: UTF8.self) }
  }
}

extension MemoryDevice {
  /// What an image says of it; `nil` where that says nothing.
  var facts: ImageFacts.MemoryFacts? {
    guard let backend, let address else { return nil }
    return ImageFacts.MemoryFacts(kind: kind, backend: backend, address: address, node: node)
  }
}

extension ImageFacts.FileState {
  /// The state of the regular file at `path`; `nil` where there is none, or it may not be looked at.
  init?(of path: FilePath) {
    guard let found = try? Stat(path), found.type == .regular else { return nil }
    let modified = found.st_mtim
    self.init(
      byteCount: UInt64(clamping: found.size), modifiedSeconds: Int64(modified.tv_sec),
      modifiedNanoseconds: Int64(modified.tv_nsec),
      device: UInt64(found.deviceID.rawValue), inode: UInt64(found.inode.rawValue))
  }
}
