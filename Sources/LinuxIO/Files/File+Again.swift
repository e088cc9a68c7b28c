import CLinux
import Glibc
import SystemPackage

extension File {
  /// What a descriptor that is handed over is for. QEMU takes one only where it is for nothing else.
  package enum Purpose: Sendable {
    case reading, writing
  }

  /// Opens the file once more, for one purpose alone, with a position and flags of its own: for handing over to another process.
  ///
  /// Through /proc/self/fd, so a file without a name can be opened too.
  ///
  /// - Parameter direct: whether transfers go past the page cache (O_DIRECT); they must be aligned then.
  /// - Throws: `directIORefused` where `direct` is set and the file refused it when it was opened, or does now; `system`.
  package func openAgain(
    for purpose: Purpose, direct: Bool
  ) throws(SystemCallError) -> OwnedDescriptor {
    if direct, case .refused(let refusal) = directIO { throw .directIORefused(path, refusal) }
    let mode = purpose == .reading ? O_RDONLY : O_WRONLY
    let flags = mode | (direct ? CLinux_O_DIRECT : 0)
    do throws(SystemCallError) {
      return try openDescriptor(
        FilePath("/proc/self/fd/\(buffered.rawValue)"), named: path, flags: flags)
    } catch {
      guard direct, error.errno == .invalidArgument else { throw error }
      throw .directIORefused(path, .openFailed(error.errno))
    }
  }
}
