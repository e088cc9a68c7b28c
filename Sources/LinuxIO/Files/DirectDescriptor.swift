import CLinux
import Glibc
import SystemPackage

extension File {
  /// The direct side of a file that is being opened.
  struct Direct: ~Copyable {
    let state: DirectIO
    private var descriptor: OwnedDescriptor?
    let number: CInt

    private init(_ refusal: DirectIORefusal) {
      state = .refused(refusal)
      descriptor = nil
      number = -1
    }

    private init(_ descriptor: consuming OwnedDescriptor, memory: Int, offset: Int) {
      state = .active(memoryAlignment: memory, offsetAlignment: offset)
      number = descriptor.rawValue
      self.descriptor = consume descriptor
    }

    /// For a file that does none.
    static var off: Direct { Direct() }

    private init() {
      state = .off
      descriptor = nil
      number = -1
    }

    consuming func takeDescriptor() -> OwnedDescriptor? { descriptor }

    /// Opens the file of `buffered` a second time, with O_DIRECT.
    ///
    /// Through /proc/self/fd and not by its name, so that both descriptors have the same file, also
    /// when the name has gone to another one or there is none. Throws `directIORefused` where
    /// `policy` is `required` and it cannot be had.
    static func open(
      like buffered: borrowing OwnedDescriptor, path: FilePath, access: Access,
      policy: DirectIOPolicy, probe: DirectIOProbe
    ) throws(SystemCallError) -> Direct {
      guard policy != .off else { return off }
      let direct = attempt(like: buffered, path: path, access: access, probe: probe)
      if policy == .required, case .refused(let refusal) = direct.state {
        throw .directIORefused(path, refusal)
      }
      return direct
    }

    private static func attempt(
      like buffered: borrowing OwnedDescriptor, path: FilePath, access: Access,
      probe: DirectIOProbe
    ) -> Direct {
      if probe == .refuse { return Direct(.asked) }
      let link = FilePath("/proc/self/fd/\(buffered.rawValue)")
      let flags = access.flag | CLinux_O_DIRECT
      let descriptor: OwnedDescriptor
      do throws(SystemCallError) {
        descriptor = try openDescriptor(link, named: path, flags: flags)
      } catch {
        return Direct(.openFailed(error.errno))
      }
      if case .assume(let memory, let offset) = probe {
        precondition(
          isPowerOfTwo(memory) && isPowerOfTwo(offset), "Alignments are powers of two")
        return Direct(descriptor, memory: memory, offset: offset)
      }
      let (memory, offset): (Int, Int)
      switch alignment(of: descriptor.rawValue) {
      case .none: return Direct(.notOffered)
      case .some(let found): (memory, offset) = found
      }
      if File.isInMemory(descriptor.rawValue) { return Direct(.memoryFileSystem) }
      if let errno = firstRead(descriptor.rawValue, memory: memory, offset: offset) {
        return Direct(.readFailed(errno))
      }
      return Direct(descriptor, memory: memory, offset: offset)
    }

    /// The alignments of memory and of offsets; nil where statx says that there is none.
    private static func alignment(of descriptor: CInt) -> (memory: Int, offset: Int)? {
      var memory: UInt32 = 0
      var offset: UInt32 = 0
      // SAFETY: both are written before the call returns, and are not kept.
      guard unsafe CLinux_directIOAlignment(descriptor, &memory, &offset) == 1 else {
        let page = sysconf(Int32(_SC_PAGESIZE))
        return (page, page)
      }
      guard isPowerOfTwo(Int(memory)), isPowerOfTwo(Int(offset)) else { return nil }
      return (Int(memory), Int(offset))
    }

    private static func isPowerOfTwo(_ number: Int) -> Bool {
      number > 0 && number & (number - 1) == 0
    }

    /// Reads one unit at offset 0, to see that the reported alignment is enough; gives the error.
    ///
    /// An empty file gives 0 bytes, which is no error.
    private static func firstRead(_ descriptor: CInt, memory: Int, offset: Int) -> Errno? {
      // SAFETY: the memory has `offset` bytes with the alignment asked for, is given back once, and
      // the kernel has finished with it when pread returns.
      unsafe withUnsafeTemporaryAllocation(byteCount: offset, alignment: memory) { bytes in
        let result = unsafe pread(descriptor, bytes.baseAddress, bytes.count, 0)
        return result < 0 && errno != EINTR ? Errno(rawValue: errno) : nil
      }
    }
  }
}

extension File {
  /// Whether the file is on a file system that keeps its files in memory alone, or in swap.
  ///
  /// - Throws: what fstatfs(2) gives.
  package func isInMemory() throws(SystemCallError) -> Bool {
    var type: UInt64 = 0
    // SAFETY: the number is written before the call returns, and is not kept.
    try check(
      unsafe CLinux_fileSystemType(buffered.rawValue, &type), .statfs, .file(path))
    return kind == .regular && Self.memoryFileSystems.contains(type)
  }

  /// The same of a descriptor, as far as it can be told. Newer kernels open such files with
  /// O_DIRECT, and then use the page cache all the same. A device node lies on such a file system
  /// (devtmpfs), but its bytes do not.
  fileprivate static func isInMemory(_ descriptor: CInt) -> Bool {
    guard let found = try? Stat(FileDescriptor(rawValue: descriptor)), found.type == .regular
    else { return false }
    var type: UInt64 = 0
    // SAFETY: the number is written before the call returns, and is not kept.
    guard unsafe CLinux_fileSystemType(descriptor, &type) == 0 else { return false }
    return memoryFileSystems.contains(type)
  }

  /// linux/magic.h: TMPFS_MAGIC, RAMFS_MAGIC, HUGETLBFS_MAGIC.
  private static let memoryFileSystems: Set<UInt64> = [0x0102_1994, 0x8584_58f6, 0x9584_58f6]
}
