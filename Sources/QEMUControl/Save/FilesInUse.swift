import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import QMP
import SystemPackage

/// What a VM uses a file for.
public enum FileUse: Equatable, Sendable, CustomStringConvertible {
  /// A disk, a backing file, flash memory: the file of this node of QEMU's block layer, or where QEMU has made its name up, of the disk
  /// that shows it.
  case disk(node: String)
  /// The memory of this backend.
  case memory(backend: String)
  /// The socket at which QEMU listens for QMP.
  case socket
  /// QEMU has it open, for what cannot be told.
  case open

  /// What follows "the VM has this as".
  public var description: String {
    switch self {
    case .disk(let node): "a disk, or below one (\"\(node)\")"
    case .memory(let backend): "memory (backend \"\(backend)\")"
    case .socket: "the socket of its monitor"
    case .open: "an open file"
    }
  }
}

/// The files and devices that a VM uses, told by what they are and not by their names.
struct FilesInUse {
  private var files: [(identity: FileIdentity, use: FileUse)] = []

  /// Finds them: all nodes of QEMU's block layer, with backing files and what is below filters; memory files; and, where that may
  /// be seen, everything that QEMU's process has open, whatever name it was given by.
  init(
    by vm: RunningVM, processID: Int32?, memory: Result<GuestMemory, CaptureObstacle>,
    asking connection: QMPConnection
  ) throws(VMError) {
    let places = DiskPlaces(of: vm, processID: processID)
    for disk in vm.disks where disk.medium?.node?.hasPrefix("#") ?? true {
      add(places.absoluteName(of: disk), .disk(node: disk.label))
    }
    let nodes = try VMError.asking { () throws(QMPError) in
      try connection.execute(.queryBlockNodes)
    }
    for node in nodes {
      for file in node.files { add(places.absoluteName(of: file), .disk(node: node.name)) }
    }
    for backend in vm.backends {
      add(backend.file.flatMap { places.absoluteName(of: $0) }, .memory(backend: backend.id))
    }
    add(connection.path.string, .socket)
    for process in processID.map({ [$0] }) ?? Array(vm.possibleProcesses.prefix(1)) {
      // Without the right to look, what QEMU says has to do.
      files += ((try? ProcessFiles.identities(of: process)) ?? []).map { ($0, .open) }
    }
  }

  /// What the file or device at `path` is used for, after symbolic links; `nil` for nothing, or where nothing is there.
  func use(of path: FilePath) -> FileUse? {
    guard let wanted = FileIdentity(at: path) else { return nil }
    return files.first { $0.identity == wanted }?.use
  }

  private mutating func add(_ path: String?, _ use: FileUse) {
    guard let path, let identity = FileIdentity(at: FilePath(path)) else { return }
    files.append((identity, use))
  }
}

/// Where the files of a VM's disks are, also those that QEMU was given by a relative path.
struct DiskPlaces {
  /// The working directories of what may be QEMU's process, the likeliest first.
  private let directories: [FilePath]
  /// What may be QEMU's process, the likeliest first.
  private let processes: [Int32]

  /// Looks where `vm` was started, in `processID` alone if it is given.
  init(of vm: RunningVM, processID: Int32?) {
    self.init(ofProcesses: processID.map { [$0] } ?? vm.possibleProcesses)
  }

  /// Looks where `processes` were started, the likeliest first.
  init(ofProcesses processes: [Int32]) {
    self.processes = processes
    directories = processes.compactMap { Self.workingDirectory(of: $0) }
  }

  /// The absolute path of the disk's file, or the URI or other text that says what it is, with absolute paths; `nil` where QEMU's path
  /// is relative to a directory that cannot be found.
  func absoluteName(of disk: Disk) -> String? {
    disk.medium.flatMap { $0.named { absoluteName(of: $0) } }
  }

  /// As the other, for a file as QEMU names it.
  func absoluteName(of file: String) -> String? {
    guard Disk.Medium.isRelativePath(file) else { return file }
    // `..` stays: after a symbolic link it is not what the text says.
    return absolutePaths(of: FilePath(file)).first { InodeType(at: $0) != nil }?.string
  }

  /// The absolute name of the disk's file if it is known, otherwise as QEMU has it.
  func name(of disk: Disk) -> String { absoluteName(of: disk) ?? disk.medium?.file ?? "" }

  /// Whether the disk's file has no name any more: one of QEMU's own for `-snapshot`, which QEMU (10.0.2) unlinks as it opens it, or
  /// one that has been removed. What is in it is gone when QEMU ends.
  func isUnlinked(_ disk: Disk) -> Bool {
    guard let name = disk.medium?.bottomFile.map({ FilePath($0) }), let last = name.lastComponent,
      !absolutePaths(of: name).contains(where: { InodeType(at: $0) != nil })
    else { return false }
    // One that may not be looked at, or is another's, says nothing.
    if processes.contains(where: { (try? ProcessFiles.hasUnlinked(last, of: $0)) == true }) {
      return true
    }
    // Then the name has to do: "vl." and six characters (QEMU 10.0, block.c, create_tmp_file).
    return last.string.hasPrefix("vl.") && last.string.utf8.count == 9
  }

  /// What is to be known of such disks, a sentence.
  static func unlinked(_ disks: [String]) -> String {
    "What the guest writes to \(disks.joined(separator: ", ")) goes into a file without a name (QEMU's -snapshot, or it was removed), "
      + "and is lost when QEMU ends."
  }

  private func absolutePaths(of path: FilePath) -> [FilePath] {
    path.isAbsolute ? [path] : directories.map { $0.pushing(path) }
  }

  /// `path`, a path of this process, for a process with another working directory.
  static func absolute(_ path: FilePath) -> FilePath {
    path.isAbsolute ? path : workingDirectory(of: getpid())?.pushing(path) ?? path
  }

  /// The directory behind /proc/PID/cwd (proc_pid_cwd(5)); `nil` where this process may not see it.
  private static func workingDirectory(of processID: Int32) -> FilePath? {
    guard let path = try? FilePath("/proc/\(processID)/cwd").linkTarget() else { return nil }
    return path.isAbsolute ? path : nil
  }
}
