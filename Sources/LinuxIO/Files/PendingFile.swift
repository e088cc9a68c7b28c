import CLinux
import Glibc
package import SystemPackage

/// A file being written that appears under its name at once and whole, or never.
///
/// Until `commit()` it has no name at all (O_TMPFILE), so that not even a SIGKILL or a crash
/// leaves anything; where the file system cannot do that, it has a hidden name
/// `.NAME.XXXXXX.partial` in the same directory, which is removed when the value is dropped. A
/// file that replaces another has such a name for the microseconds between `linkat` and `renameat`
/// of its commit, whatever the file system: a SIGKILL just then leaves it there, whole. Its mode is
/// 0600 less the umask: it holds a guest's memory.
///
/// Nothing of a file that was there before is kept: not its mode, its owner or its other hard
/// links. Where the path is a symbolic link, the link stays and the file that it leads to is
/// replaced or made, as though it had been opened for writing.
package struct PendingFile: ~Copyable, Sendable {
  /// The file, to be written. References to it may outlive the commit.
  package let file: File
  /// The path under which it appears, after symbolic links.
  package let finalPath: FilePath

  let directory: OwnedDescriptor
  /// Its name in the directory for the time being; nil where it has none.
  var temporaryName: FilePath.Component?

  /// How the file is kept before it appears. `hiddenName` is for tests.
  package enum Naming: Sendable {
    /// Without a name where the file system can.
    case unnamedIfPossible
    /// Under a hidden name.
    case hiddenName
  }

  init(
    file: File, finalPath: FilePath, directory: consuming OwnedDescriptor,
    temporaryName: FilePath.Component?
  ) {
    self.file = file
    self.finalPath = finalPath
    self.directory = directory
    self.temporaryName = temporaryName
  }

  deinit {
    guard let temporaryName else { return }
    // SAFETY: the name's bytes end with a zero. An error has nobody to go to here.
    _ = unsafe FilePath(root: nil, components: temporaryName).withPlatformString {
      unsafe unlinkat(directory.rawValue, $0, 0)
    }
  }

  /// Makes the bytes durable, lets the file appear under its final name, and makes the name
  /// durable.
  ///
  /// A file that has the name is replaced: others see the old one or the new one whole. When this
  /// returns, a crash loses nothing. When it throws before the name was given, what was there
  /// before is there still and nothing of the new file is left; only an error of the directory's
  /// fsync comes after (the file is then in place, but a crash may lose it). Throws what fsync,
  /// linkat and renameat give.
  package consuming func commit() throws(SystemCallError) {
    var pending = consume self
    try pending.publish()
    let directory = pending.directory.rawValue
    do throws(SystemCallError) {
      _ = try retryingInterrupted(.fsync, .file(pending.finalPath.removingLastComponent())) {
        fsync(directory)
      }
    } catch {
      // Some network file systems cannot sync a directory, and say so like this (fsync(2)).
      guard error.errno == .invalidArgument else { throw error }
    }
  }

  /// Up to the moment when the name is there.
  private mutating func publish() throws(SystemCallError) {
    let descriptor = file.bufferedDescriptor
    // fsync, and not fdatasync, so that the times and the mode are durable too.
    _ = try retryingInterrupted(.fsync, .file(finalPath)) { fsync(descriptor) }
    guard let name = finalPath.lastComponent else {
      throw SystemCallError(call: .renameat, errno: .isDirectory, subject: .file(finalPath))
    }
    if temporaryName == nil {
      if try link(as: name) { return }
      // Something has the final name, and linkat does not replace: by way of another name.
      var linked: FilePath.Component
      repeat { linked = PendingFile.hiddenName(for: name) } while try !link(as: linked)
      temporaryName = linked
    }
    guard let temporaryName else { return }
    let (source, target) = (
      FilePath(root: nil, components: temporaryName), FilePath(root: nil, components: name)
    )
    let directory = directory.rawValue
    _ = try retryingInterrupted(.renameat, .file(finalPath)) {
      // SAFETY: the names' bytes end with a zero and live for the call.
      unsafe source.withPlatformString { source in
        unsafe target.withPlatformString { target in
          unsafe renameat(directory, source, directory, target)
        }
      }
    }
    self.temporaryName = nil
  }

  /// Gives the nameless file the name `name`; false where something has it.
  private func link(as name: FilePath.Component) throws(SystemCallError) -> Bool {
    let (descriptor, directory) = (file.bufferedDescriptor, directory.rawValue)
    // SAFETY: the name's bytes end with a zero and live for the call.
    let result = unsafe FilePath(root: nil, components: name).withPlatformString {
      unsafe CLinux_linkDescriptor(descriptor, directory, $0)
    }
    if result == -EEXIST { return false }
    try check(result, .linkat, .file(finalPath))
    return true
  }
}
