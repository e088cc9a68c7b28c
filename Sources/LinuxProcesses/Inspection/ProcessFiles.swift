import CLinux
import Glibc
package import LinuxIO
package import SystemPackage

/// The files that a process has open.
package enum ProcessFiles {
  /// Opens anew the file `wanted` that the process has open and mapped; `nil` where it has not.
  ///
  /// The file's own permissions are asked, and the right to trace the process (proc_pid_fd(5)).
  ///
  /// - Parameter directIO: how, where it is only read.
  /// - Throws: EACCES or EPERM without the rights; ENOENT where the process is gone.
  /// - Complexity: O(descriptors of the process).
  package static func open(
    _ wanted: MappedFileIdentity, of processID: Int32, access: File.Access,
    directIO: DirectIOPolicy = .off
  ) throws(SystemCallError) -> File? {
    let directory = FilePath("/proc/\(processID)/fd")
    var refusal: SystemCallError?
    for name in try names(in: directory) {
      let path = directory.appending(name)
      // Asked before it is opened: opening some files does something. The descriptor may be gone by now.
      guard InodeType(at: path) == .regular else { continue }
      do throws(SystemCallError) {
        let file = try File.open(path, access: .read, directIO: .off)
        guard file.isMapped(as: wanted) else { continue }
        guard access != .read || directIO != .off else { return file }
        // The same file, whatever the process has put under the number meanwhile.
        return try File.open(
          descriptor: file.bufferedDescriptor, access: access, directIO: directIO)
      } catch {
        refusal = refusal ?? error
      }
    }
    if let refusal { throw refusal }
    return nil
  }

  /// Opens the file at `path`, as a line of /proc/PID/maps has it, if it is `wanted`: for a process that has closed it since it was mapped.
  ///
  /// - Throws: what open(2) gives.
  package static func open(
    _ wanted: MappedFileIdentity, at path: FilePath, directIO: DirectIOPolicy
  ) throws(SystemCallError) -> File? {
    guard InodeType(at: path) == .regular else { return nil }
    let file = try File.open(path, access: .read, directIO: directIO)
    return file.isMapped(as: wanted) ? file : nil
  }

  /// What the files and block devices are that the process has open.
  ///
  /// - Throws: EACCES or EPERM without the right to trace the process (proc_pid_fd(5)); ENOENT where it is gone.
  /// - Complexity: O(descriptors of the process).
  package static func identities(of processID: Int32) throws(SystemCallError) -> [FileIdentity] {
    let directory = FilePath("/proc/\(processID)/fd")
    return try names(in: directory).compactMap { name in
      let path = directory.appending(name)
      guard [.regular, .blockDevice].contains(InodeType(at: path)) else { return nil }
      return FileIdentity(at: path)
    }
  }

  /// What the process has open, each as the kernel names it: a path, or what it is.
  ///
  /// - Throws: as `identities(of:)`.
  /// - Complexity: O(descriptors of the process).
  package static func targets(of processID: Int32) throws(SystemCallError) -> [String] {
    let directory = FilePath("/proc/\(processID)/fd")
    return try names(in: directory).compactMap { name in
      // One that is closed meanwhile has none.
      try? directory.appending(name).linkTarget().string
    }
  }

  /// Whether the process has a file open whose last name was `name`, and that has none any more.
  ///
  /// - Throws: as `identities(of:)`.
  /// - Complexity: O(descriptors of the process).
  package static func hasUnlinked(
    _ name: FilePath.Component, of processID: Int32
  ) throws(SystemCallError) -> Bool {
    let directory = FilePath("/proc/\(processID)/fd")
    return try names(in: directory).contains { number in
      let path = directory.appending(number)
      guard let found = try? Stat(path), found.type == .regular, found.linkCount == 0,
        let target = try? path.linkTarget()
      else { return false }
      // What the kernel puts behind the name of such a file (proc_pid_fd(5)).
      return target.string.hasSuffix("/\(name.string) (deleted)")
    }
  }

  /// The names in a directory of /proc that are numbers.
  static func names(in path: FilePath) throws(SystemCallError) -> [String] {
    // SAFETY: the stream is this function's own, and closed before it returns; an entry is read before the next one is asked for.
    guard let stream = unsafe path.withPlatformString({ unsafe opendir($0) }) else {
      throw SystemCallError(call: .open, errno: Errno(rawValue: errno), subject: .file(path))
    }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.first?.isNumber ?? false { names.append(name) }
    }
    return names
  }
}

extension File {
  /// Whether `maps` tell it as `wanted`. A file that cannot be mapped is told by none.
  fileprivate func isMapped(as wanted: MappedFileIdentity) -> Bool {
    do throws(SystemCallError) {
      return try mappedIdentity() == wanted
    } catch {
      return false
    }
  }
}
