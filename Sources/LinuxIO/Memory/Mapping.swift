import CLinux
import Glibc
import SystemPackage

/// A part of a file, or memory without a file, mapped into the address space.
///
/// The memory stays valid as long as the mapping is referenced. Where another process cuts the
/// file, touching the lost part raises SIGBUS: map files that nobody cuts. Core dumps of this
/// process leave it out, as it may be a guest's; so do processes that are forked.
@safe
public final class Mapping: @unchecked Sendable {
  // @unchecked Sendable: the fields never change. Whoever writes the memory from several threads
  // orders the accesses; the accessors are `@unsafe` for that.

  /// What a mapping of a file is for.
  package enum Mode: Sendable {
    /// Reading alone; later writes to the file are seen.
    case read
    /// Reading and writing; what is written reaches the file, which must be open for writing.
    case sharedWrite
    /// Reading and writing; what is written stays in this process.
    case privateWrite
  }

  /// The number of bytes.
  package let byteCount: Int
  /// Whether the memory may be written.
  package let isWritable: Bool
  /// Whether the memory is that of a file, which keeps all that is in it when pages are dropped here.
  package let isShared: Bool
  private let start: UnsafeMutableRawPointer
  /// The bytes before `start` that belong to the mapping, which begins at a page boundary.
  private let lead: Int
  /// The bytes of the mapping, from there on. Of hugetlbfs they are whole huge pages.
  private let mappedByteCount: Int

  /// Maps the bytes `range` of `file`. The range need not begin or end at a page boundary.
  ///
  /// Throws `outsideFile` where it is empty or goes past the file's end (touching such memory would
  /// raise SIGBUS), and what fstat and mmap give.
  package init(_ file: File, range: Range<UInt64>, mode: Mode) throws(SystemCallError) {
    let (size, page) = (try file.size(), try file.mappingPageBytes())
    let lead = Int(range.lowerBound % UInt64(page))
    guard !range.isEmpty, range.upperBound <= size, range.upperBound <= UInt64(off_t.max) else {
      throw .outsideFile(file.path, range: range, byteCount: size)
    }
    byteCount = Int(range.byteCount)
    isWritable = mode != .read
    isShared = mode != .privateWrite
    self.lead = lead
    // Below 2^63, as the file's size is, and pages are no larger than 16 GiB.
    let mappedByteCount = (byteCount + lead + page - 1) / page * page
    self.mappedByteCount = mappedByteCount
    let protection = mode == .read ? PROT_READ : PROT_READ | PROT_WRITE
    let flags = mode == .privateWrite ? MAP_PRIVATE : MAP_SHARED
    let offset = off_t(range.lowerBound) - off_t(lead)
    // SAFETY: a new mapping, at a place of the kernel's choice.
    let found = unsafe mmap(
      nil, mappedByteCount, protection, flags, file.bufferedDescriptor, offset)
    guard let found = unsafe found, unsafe found != MAP_FAILED else {
      throw SystemCallError(
        call: .mmap, errno: Errno(rawValue: errno), subject: .range(file.path, range))
    }
    do throws(SystemCallError) {
      try unsafe keepToThisProcess(found, byteCount: mappedByteCount)
    } catch {
      // SAFETY: the mapping was made above, and nobody else has it.
      _ = unsafe munmap(found, mappedByteCount)
      throw error
    }
    unsafe start = found + lead
  }

  /// Maps `byteCount` zero bytes that no file is behind; pages come as they are touched.
  ///
  /// Precondition: `byteCount` is positive. Throws what mmap gives.
  package init(anonymousByteCount byteCount: Int) throws(SystemCallError) {
    precondition(byteCount > 0, "A mapping has at least one byte")
    self.byteCount = byteCount
    isWritable = true
    isShared = false
    lead = 0
    mappedByteCount = byteCount
    unsafe start = try unsafe mapAnonymous(byteCount: byteCount)
  }

  deinit {
    // SAFETY: the mapping of init, given back once.
    _ = unsafe munmap(start - lead, mappedByteCount)
  }

  /// The first byte's address, valid as long as the mapping is referenced.
  ///
  /// Swift may drop a reference after its last use, before the end of its scope: keep one in a
  /// property, or use the address inside `withExtendedLifetime`.
  @unsafe
  package var baseAddress: UnsafeMutableRawPointer { unsafe start }

  /// The memory, valid as long as the mapping is referenced; see `baseAddress`.
  @unsafe
  package var bytes: UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(start: start, count: byteCount)
  }

  /// The memory for writing, valid as long as the mapping is referenced; see `baseAddress`.
  ///
  /// Precondition: `isWritable`.
  @unsafe
  package var mutableBytes: UnsafeMutableRawBufferPointer {
    precondition(isWritable, "The mapping is for reading alone")
    return unsafe UnsafeMutableRawBufferPointer(start: start, count: byteCount)
  }

  /// Lends the memory for the time of `body`.
  package func withUnsafeBytes<Value: ~Copyable, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    // SAFETY: the memory is of `byteCount` bytes, and self lives until `body` is over.
    defer { withExtendedLifetime(self) {} }
    return try unsafe body(bytes)
  }

  /// Lends the memory for writing, for the time of `body`.
  ///
  /// Precondition: `isWritable`.
  package func withUnsafeMutableBytes<Value: ~Copyable, Failure: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    // SAFETY: the memory is of `byteCount` bytes, and self lives until `body` is over.
    defer { withExtendedLifetime(self) {} }
    return try unsafe body(mutableBytes)
  }

  /// Makes the bytes `range` present for reading, for fewer page faults, where the kernel can (Linux 5.14).
  ///
  /// Precondition: it lies inside. Throws EFAULT where the file has been cut, so that touching the bytes would raise SIGBUS.
  package func populate(_ range: Range<Int>) throws(SystemCallError) {
    do throws(SystemCallError) {
      try advise(.populateRead, range)
    } catch {
      guard error.errno == .invalidArgument else { throw error }
    }
  }

  /// How many bytes from the begin of `range` are in pages that are in memory (mincore(2)), up to its end; of a range of more than
  /// 16 MiB only as many are looked at. What is not in memory may be a hole, or elsewhere, like in swap.
  /// Of another user's file that this process may not write, the kernel says that all of it is in memory.
  ///
  /// Precondition: it lies inside, and is not empty. Throws what mincore gives.
  package func residentCount(of range: Range<Int>) throws(SystemCallError) -> Int {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount, "Not in the mapping")
    precondition(!range.isEmpty, "A byte at least")
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let before = (range.lowerBound + lead) % page
    let wanted = min(range.count, 16 << 20)
    let count = before + wanted
    var states = [UInt8](repeating: 0, count: (count + page - 1) / page)
    let result = try retryingInterrupted(.mincore, .memory(byteCount: range.count)) {
      // SAFETY: from a page boundary that is not before the mapping's begin, with a byte for each page.
      unsafe mincore(start + range.lowerBound - before, count, &states)
    }
    assert(result == 0)
    guard let missing = states.firstIndex(where: { $0 & 1 == 0 }) else { return wanted }
    return max(missing * page - before, 0)
  }

  /// Takes the pages of `range` out of this process, and leaves them in the file.
  ///
  /// Preconditions: it lies inside, and `isShared`. Throws what madvise gives.
  package func release(_ range: Range<Int>) throws(SystemCallError) {
    precondition(isShared, "What is dropped of private memory is lost")
    try advise(.dontNeed, range)
  }

  /// Gives the kernel advice about `range`, in bytes from the begin (madvise).
  ///
  /// The range is widened to whole pages. Precondition: it lies inside. Throws what madvise gives:
  /// EINVAL where the kernel does not know the advice.
  package func advise(_ advice: Advice, _ range: Range<Int>) throws(SystemCallError) {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount, "Not in the mapping")
    guard !range.isEmpty else { return }
    let before = (range.lowerBound + lead) % Int(sysconf(Int32(_SC_PAGESIZE)))
    _ = try retryingInterrupted(.madvise, .memory(byteCount: range.count)) {
      // SAFETY: from a page boundary that is not before the mapping's begin.
      unsafe madvise(start + range.lowerBound - before, range.count + before, advice.number)
    }
  }
}

extension File {
  /// Bytes of the pages in which the file is mapped: of a file of huge pages (hugetlbfs) those, which are its preferred size of I/O. The
  /// kernel takes such a mapping back, and advice about all of it, in whole pages alone.
  fileprivate func mappingPageBytes() throws(SystemCallError) -> Int {
    let page = sysconf(Int32(_SC_PAGESIZE))
    var type: UInt64 = 0
    // SAFETY: the number is written before the call returns, and is not kept.
    let result = unsafe CLinux_fileSystemType(bufferedDescriptor, &type)
    // linux/magic.h: HUGETLBFS_MAGIC.
    guard result == 0, type == 0x9584_58f6 else { return page }
    return max(try status(of: bufferedDescriptor, path).preferredIOBlockSize, page)
  }
}
