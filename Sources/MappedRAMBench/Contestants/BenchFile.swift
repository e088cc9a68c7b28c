import Glibc
import LinuxIO
import MappedRAM
import SystemPackage

/// Files of a measurement.
enum BenchFile {
  /// Makes a file that will not stay: it has no name, or one that goes at once, since it is never committed.
  static func create(
    beside path: FilePath, directIO: DirectIOPolicy
  ) throws(ImageError) -> File {
    try calling { () throws(SystemCallError) in
      try PendingFile.create(at: path, directIO: directIO).file
    }
  }

  /// Opens a file that was measured, for reading.
  static func open(_ path: FilePath, directIO: DirectIOPolicy) throws(BenchError) -> File {
    do throws(SystemCallError) {
      return try File.open(path, access: .read, directIO: directIO)
    } catch {
      throw .image(.system(error), output: nil)
    }
  }

  /// Makes an empty file without a name in the bench's directory: however this process ends, nothing of it stays.
  static func nameless(in session: BenchSession) throws(BenchError) -> File {
    try BenchError.image(to: session.directory) { () throws(ImageError) in
      try create(beside: session.directory.appending("mapped-ram-bench"), directIO: .off)
    }
  }
}

extension File {
  /// The path by which other processes of this user can open a file without a name, as long as this process has it open
  /// (proc_pid_fd(5)).
  var pathForOthers: FilePath { FilePath("/proc/\(getpid())/fd/\(bufferedDescriptor)") }
}

extension FilePath {
  /// Removes the file, if it is there. An error has nobody to go to.
  func removeFile() {
    // SAFETY: the path's bytes end with a zero and live for the call.
    _ = unsafe withPlatformString { unsafe unlink($0) }
  }
}
