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
    for node in try talking({ () throws(QMPError) in try connection.execute(.queryBlockNodes) }) {
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
