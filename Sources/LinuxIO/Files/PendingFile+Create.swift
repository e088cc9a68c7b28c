import CLinux
import Glibc
package import SystemPackage

extension PendingFile {
  /// Makes an empty file that will appear at `path`.
  ///
  /// What is at the path now may be nothing or a regular file; it is neither opened nor changed.
  ///
  /// - Throws: `.unsuitable` where a directory, a device, a FIFO or a socket is there; what open(2) gives of the directory; where
  ///   `directIO` is `required` and the file system has none, as `File.open`.
  package static func create(
    at path: FilePath, directIO: DirectIOPolicy = .auto, probe: DirectIOProbe = .kernel,
    naming: Naming = .unnamedIfPossible
  ) throws(SystemCallError) -> PendingFile {
    let target = try followLinks(path)
    guard let name = target.lastComponent, name.kind == .regular else {
      throw .unsuitable(path, found: .directory, expected: [.regular])
    }
    let parent = target.removingLastComponent()
    let directory = try openDescriptor(
      parent.isEmpty ? "." : parent, named: target, flags: O_RDONLY | O_DIRECTORY)
    let temporary = try Temporary(
      in: directory.rawValue, for: name, naming: naming, reported: target)
    let temporaryName = temporary.name
    let file: File
    do throws(SystemCallError) {
      file = try File(
        adopting: temporary.descriptor, type: .regular, path: path, access: .readWrite,
        directIO: directIO, probe: probe)
    } catch {
      if let temporaryName { remove(temporaryName, directory.rawValue) }
      throw error
    }
    return PendingFile(
      file: file, finalPath: target, directory: directory, temporaryName: temporaryName)
  }

  /// `path`, or what it leads to where it is a symbolic link, which need not exist.
  ///
  /// A link is looked at through a descriptor of its own, so that nobody swaps it meanwhile.
  ///
  /// Throws `.unsuitable` where something else than a regular file is there, `.foreignLink`.
  private static func followLinks(_ path: FilePath) throws(SystemCallError) -> FilePath {
    var current = path
    // The kernel's own limit (path_resolution(7)).
    for _ in 0...40 {
      guard let target = try linkTarget(current, named: path) else { return current }
      // Not normalized: `..` after a link to a directory is the kernel's business.
      current = current.removingLastComponent().pushing(target)
    }
    throw SystemCallError(call: .open, errno: .tooManySymbolicLinkLevels, subject: .file(path))
  }

  /// What the symbolic link at `current` holds; `nil` where a regular file or nothing is there.
  private static func linkTarget(
    _ current: FilePath, named path: FilePath
  ) throws(SystemCallError) -> FilePath? {
    guard !current.isEmpty else {
      throw SystemCallError(call: .open, errno: .noSuchFileOrDirectory, subject: .file(path))
    }
    guard let name = current.lastComponent else {
      throw .unsuitable(path, found: .directory, expected: [.regular])
    }
    let parent = current.removingLastComponent()
    let directory = try openDescriptor(
      parent.isEmpty ? "." : parent, named: current, flags: CLinux_O_PATH | O_DIRECTORY)
    let number = directory.rawValue
    guard
      let found = try openUnfollowed(name, number, path)
    else { return nil }
    let link = try status(of: found.rawValue, path)
    switch InodeType(link.type) {
    case .regular: return nil
    case .symbolicLink:
      let place = try status(of: number, path)
      guard mayBeFollowed(link, in: place) else { throw .foreignLink(current) }
      let link = found.rawValue
      // Of the descriptor itself (readlink(2)).
      return try FilePath("").linkTarget(in: link)
    case let type: throw .unsuitable(path, found: type, expected: [.regular])
    }
  }

  /// What has the name, be it a symbolic link; `nil` where nothing has.
  private static func openUnfollowed(
    _ name: FilePath.Component, _ directory: CInt, _ path: FilePath
  ) throws(SystemCallError) -> OwnedDescriptor? {
    do throws(SystemCallError) {
      return try openDescriptor(
        FilePath(root: nil, components: name), in: directory, named: path,
        flags: CLinux_O_PATH | O_NOFOLLOW)
    } catch {
      guard error.errno == .noSuchFileOrDirectory else { throw error }
      return nil
    }
  }

  /// Whether a symbolic link may decide where a file goes. In a directory where everybody may make one, but take away only his own
  /// (such as /tmp), that of a stranger may not, as the kernel has it where it follows by itself (proc_sys_fs(5), protected_symlinks).
  private static func mayBeFollowed(_ link: Stat, in directory: Stat) -> Bool {
    let isShared = directory.permissions.isSuperset(of: [.saveText, .otherWrite])
    return !isShared || link.userID.rawValue == geteuid() || link.userID == directory.userID
  }

  /// Removes the name `name`; an error has nobody to go to.
  static func remove(_ name: FilePath.Component, _ directory: CInt) {
    // SAFETY: the name's bytes end with a zero and live for the call.
    _ = unsafe FilePath(root: nil, components: name).withPlatformString {
      unsafe unlinkat(directory, $0, 0)
    }
  }

  /// A hidden name in the manner of `.NAME.XXXXXX.partial`, of at most 255 bytes.
  static func hiddenName(for name: FilePath.Component) -> FilePath.Component {
    let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
    let random = String((0..<6).map { _ in letters[Int.random(in: 0..<letters.count)] })
    // NAME_MAX is 255. A name is cut where it would not fit; it need not be readable then.
    let room = 255 - ".".utf8.count - ".\(random).partial".utf8.count
    var stem = name.string
    while stem.utf8.count > room { stem.removeLast() }
    return FilePath.Component(".\(stem).\(random).partial") ?? ".partial"
  }

  /// The new file and the name that it has, if any.
  private struct Temporary: ~Copyable {
    let descriptor: OwnedDescriptor
    let name: FilePath.Component?

    /// Mode of an image: it holds a guest's memory, so it is the owner's alone.
    private static var mode: mode_t { 0o600 }

    init(
      in directory: CInt, for name: FilePath.Component, naming: Naming, reported: FilePath
    ) throws(SystemCallError) {
      if naming == .unnamedIfPossible {
        do throws(SystemCallError) {
          let flags = O_RDWR | CLinux_O_TMPFILE
          let unnamed = try openDescriptor(
            ".", in: directory, named: reported, flags: flags, mode: Temporary.mode)
          // Without /proc it could never be given a name.
          if Temporary.canBeLinked(unnamed.rawValue) {
            descriptor = unnamed
            self.name = nil
            return
          }
        } catch {
          // What file systems and kernels without O_TMPFILE give (open(2)).
          guard [.notSupportedOnSocket, .isDirectory, .invalidArgument].contains(error.errno)
          else { throw error }
        }
      }
      while true {
        let hidden = PendingFile.hiddenName(for: name)
        do throws(SystemCallError) {
          descriptor = try openDescriptor(
            FilePath(root: nil, components: hidden), in: directory, named: reported,
            flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: Temporary.mode)
          self.name = hidden
          return
        } catch {
          guard error.errno == .fileExists else { throw error }
        }
      }
    }

    private static func canBeLinked(_ descriptor: CInt) -> Bool {
      // SAFETY: the path's bytes end with a zero and live for the call.
      unsafe FilePath("/proc/self/fd/\(descriptor)").withPlatformString {
        unsafe access($0, F_OK) == 0
      }
    }
  }
}
