import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP
import SystemPackage

/// Why a VM that runs cannot be saved as it is at one moment, by QEMU's background snapshot.
public enum ProtectionObstacle: Equatable, Sendable {
  /// It was not asked for.
  case notWanted
  /// The VM is to be paused or ended afterwards, without snapshots of its disks: they would be of another moment than its memory.
  case doesNotRunOn
  /// What may be written is limited: the guest would have to wait for it at each page.
  case limitedBandwidth
  /// This QEMU is too old for background snapshots.
  case unknown(QEMUVersion)
  /// QEMU refuses to protect memory, in its words.
  case refused(reason: String)
  /// QEMU would fill so many bytes of shared memory, or of huge pages, that are not there now.
  case fillsMemory(idstr: String, byteCount: UInt64)
  /// The memory is a private mapping of a file, as of a VM that runs on an image: QEMU would fill the file's holes.
  case privateFile(idstr: String, path: String)
  /// To protect so much memory would take longer than the VM may be paused.
  case takesTooLong(expected: Duration, wanted: Duration)
  /// Another process has the memory mapped as well, and may write it past QEMU's protection.
  case sharedMemory(idstr: String, processID: Int32)
  /// Other processes may have the shared memory mapped, and this one may not look at them.
  case unseenProcesses(idstr: String)
  /// A device that QEMU has open may write the memory past its protection.
  case device(String)
}

extension ProtectionObstacle: CustomStringConvertible {
  /// The reason, as a sentence or two.
  public var description: String {
    switch self {
    case .notWanted: "Rounds were asked for."
    case .doesNotRunOn:
      "The VM is to be paused or ended after the save, and its disks would be of that moment, its memory of an earlier one. With snapshots "
        + "of the disks both are of one."
    case .limitedBandwidth:
      "The bandwidth is limited, and the guest would wait for it whenever it writes to a page for the first time."
    case .unknown(let version):
      "QEMU \(version.description) has no background snapshots that can be used; 9.0 or newer is needed."
    case .refused(let reason):
      "QEMU cannot protect the guest's memory (\(reason)). \(Self.advice(reason))"
    case .fillsMemory(let idstr, let byteCount):
      "RAMBlock \"\(idstr)\" is shared memory, or of huge pages, of which \(byteCount) bytes are not in use: QEMU would fill them."
    case .privateFile(let idstr, let path):
      "RAMBlock \"\(idstr)\" is a private mapping of \(path): QEMU would read all of it, and fill its holes."
    case .takesTooLong(let expected, let wanted):
      "QEMU would take some \(expected.wholeMilliseconds) ms to protect the guest's memory; \(wanted.wholeMilliseconds) ms were asked for."
    case .sharedMemory(let idstr, let processID):
      "Process \(processID) has RAMBlock \"\(idstr)\" mapped as well, and its writes are not held up."
    case .unseenProcesses(let idstr):
      "RAMBlock \"\(idstr)\" is shared memory, and other processes that may write it cannot be looked at. Run this command as root."
    case .device(let path):
      "QEMU has \(path) open, a device that may write the guest's memory by itself."
    }
  }
}

extension ProtectionObstacle {
  /// What QEMU needs that refuses for `reason`.
  ///
  /// It looks once for /dev/userfaultfd, when it is first asked; what sysctl says holds at once (tried: QEMU 10.0.2). Of the two reasons
  /// that it has, the words are "Background-snapshot is not supported by host kernel" and "… not compatible with guest memory configuration".
  private static func advice(_ reason: String) -> String {
    let right =
      "To let it use userfaultfd, set vm.unprivileged_userfaultfd = 1 (sysctl), which holds at once, or give QEMU's user read and write "
      + "access to /dev/userfaultfd before QEMU is started."
    let memory = "The memory has to be anonymous, a memfd or of huge pages, not a file's."
    if reason.contains("host kernel") { return right }
    return reason.contains("memory configuration") ? memory : "\(right) \(memory)"
  }

  /// Shared memory that is not there may be filled up to this: it takes 0.7 s a GiB (our measurement: a memfd of 2 GiB, 1.4 s).
  private static let filledBytes: UInt64 = 64 << 20
  /// How long QEMU takes to protect a GiB of private or shared memory (our measurement: 7 to 13 GiB, TCG, Linux 6.18).
  private static let secondsPerGiB = (private: 0.0035, shared: 0.030)
  /// Devices that write memory by DMA.
  private static let directDevices = ["/dev/vfio/", "/dev/vhost-vdpa", "/dev/infiniband/"]

  /// What can be seen from outside. QEMU itself may still refuse.
  static func all(of job: SaveJob, _ memory: GuestMemory) -> [ProtectionObstacle] {
    guard job.save.liveMethod != .rounds else { return [.notWanted] }
    var found: [ProtectionObstacle] = []
    // Snapshots of the disks are of the same moment as the memory.
    if !job.save.afterwards.resumes(from: job.vm.runState), job.save.snapshotDirectory == nil {
      found.append(.doesNotRunOn)
    }
    if job.live?.bytesPerSecond != nil { found.append(.limitedBandwidth) }
    if job.vm.capabilities[BackgroundSnapshot.capability] == nil
      || job.vm.version < BackgroundSnapshot.oldest
    {
      found.append(.unknown(job.vm.version))
    }
    found += memory.places.compactMap { fills($0, memory) }
    let expected = protectionTime(of: memory)
    if let wanted = job.live?.maximumDowntime, expected > wanted {
      found.append(.takesTooLong(expected: expected, wanted: wanted))
    }
    found += otherWriters(of: memory)
    do throws(SystemCallError) {
      let paths = try ProcessFiles.targets(of: memory.processID)
      found += directDevices.compactMap { device in
        paths.first { $0.hasPrefix(device) }.map { .device($0) }
      }
    } catch {
      found.append(.device("/proc/\(memory.processID)/fd"))
    }
    return found
  }

  private static func fills(
    _ place: GuestMemory.Place, _ memory: GuestMemory
  ) -> ProtectionObstacle? {
    switch place.backing {
    case .privateFile(_, _, let path):
      return .privateFile(idstr: place.block.idstr, path: path)
    case .mixed: return .privateFile(idstr: place.block.idstr, path: "several files")
    case .anonymous, .sharedFile: break
    }
    let length = place.block.usedLength.rawValue
    let present: UInt64
    if let file = place.file?.file {
      guard let found = try? file.allocatedBytes() else { return nil }
      present = found
    } else if place.hasHugePages {
      // There is no huge page of zeros that could stand for one that was never touched.
      present = presentBytes(of: place, memory.pageMap)
      guard present == length else {
        return .fillsMemory(idstr: place.block.idstr, byteCount: length - min(present, length))
      }
    } else {
      return nil
    }
    let absent = length - min(present, length)
    return absent > filledBytes
      ? .fillsMemory(idstr: place.block.idstr, byteCount: absent) : nil
  }

  /// Bytes of private memory that are there; 0 where that is not known.
  private static func presentBytes(of place: GuestMemory.Place, _ pageMap: PageMap?) -> UInt64 {
    var (position, sum) = (place.addresses.lowerBound, UInt64(0))
    while let found = try? pageMap?.nextPresent(in: position..<place.addresses.upperBound) {
      sum += found.upperBound - found.lowerBound
      position = found.upperBound
    }
    return sum
  }

  private static func protectionTime(of memory: GuestMemory) -> Duration {
    let seconds = memory.places.reduce(0) { sum, place in
      let rate = place.file == nil ? secondsPerGiB.private : secondsPerGiB.shared
      return sum + Double(place.block.usedLength.rawValue) / Double(1 << 30) * rate
    }
    return .seconds(seconds)
  }

  /// Processes that have the VM's memory mapped and may write it, as vhost-user devices do.
  private static func otherWriters(of memory: GuestMemory) -> [ProtectionObstacle] {
    var blocks: [MappedFileIdentity: String] = [:]
    for place in memory.places {
      if case .sharedFile(let file, _, _) = place.backing { blocks[file] = place.block.idstr }
    }
    guard !blocks.isEmpty else { return [] }
    let ours = [memory.processID, getpid()]
    var found: [ProtectionObstacle] = []
    for processID in ProcessOwner.all where !ours.contains(processID) {
      let maps: [MemoryMap]
      do throws(SystemCallError) {
        maps = try MemoryMap.all(of: processID)
      } catch {
        // One that has ended has none. What not even root may look at is no device of a VM, but, say, what contains all processes.
        guard [.permissionDenied, .notPermitted].contains(error.errno), geteuid() != 0 else {
          continue
        }
        return blocks.values.sorted().map { .unseenProcesses(idstr: $0) }
      }
      let writable = maps.filter { $0.isShared && $0.isWritable }
      found += Set(writable.compactMap { blocks[$0.inode] }).sorted().map { idstr in
        .sharedMemory(idstr: idstr, processID: processID)
      }
    }
    return found
  }
}
