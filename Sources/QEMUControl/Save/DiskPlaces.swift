import Glibc
import LinuxIO
import SystemPackage

/// Where the files of a VM's disks are, also those that QEMU was given by a relative path.
struct DiskPlaces {
  /// The working directories of what may be QEMU's process, the likeliest first.
  private let directories: [FilePath]

  /// Looks where `vm` was started, in `processID` alone if it is given.
  init(of vm: RunningVM, processID: Int32?) {
    let processes = processID.map { [$0] } ?? vm.possibleProcesses
    directories = processes.compactMap { Self.workingDirectory(of: $0) }
  }

  /// The absolute path of the disk's file, or the URI or other text that says what it is; `nil` where QEMU's path is relative to a
  /// directory that cannot be found.
  func absoluteName(of disk: Disk) -> String? {
    disk.medium.flatMap { absoluteName(of: $0.file) }
  }

  /// As the other, for a file as QEMU names it.
  func absoluteName(of file: String) -> String? {
    guard Disk.Medium.isRelativePath(file) else { return file }
    // `..` stays: after a symbolic link it is not what the text says.
    return directories.lazy.map { $0.pushing(FilePath(file)) }
      .first { InodeType(at: $0) != nil }?.string
  }

  /// The absolute name of the disk's file if it is known, otherwise as QEMU has it.
  func name(of disk: Disk) -> String { absoluteName(of: disk) ?? disk.medium?.file ?? "" }

  /// `path`, a path of this process, for a process with another working directory.
  static func absolute(_ path: FilePath) -> FilePath {
    path.isAbsolute ? path : workingDirectory(of: getpid())?.pushing(path) ?? path
  }

  /// The directory behind /proc/PID/cwd (proc_pid_cwd(5)); `nil` where this process may not see it.
  private static func workingDirectory(of processID: Int32) -> FilePath? {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    // SAFETY: the path's bytes end with a zero, and readlink writes one byte less than there is room for.
    let count = unsafe FilePath("/proc/\(processID)/cwd").withPlatformString {
      unsafe readlink($0, &bytes, bytes.count - 1)
    }
    guard count > 0 else { return nil }
    let path = FilePath(
      String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self))
    return path.isAbsolute ? path : nil
  }
}
