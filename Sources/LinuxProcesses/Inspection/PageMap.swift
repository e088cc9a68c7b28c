import CLinux
import Glibc
package import LinuxIO
import Synchronization
import SystemPackage

/// Which pages of a process are in memory or swapped out (proc_pid_pagemap(5)).
package final class PageMap: Sendable {
  private let descriptor: OwnedDescriptor
  private let path: FilePath
  private let canScan: Atomic<Bool>
  /// The size of the pages that it counts, in bytes.
  package static let pageBytes = UInt64(sysconf(Int32(_SC_PAGESIZE)))

  /// Pages that are asked for by one call, where entries are read: 2 MiB.
  static let entriesAtOnce: UInt64 = 512

  /// How pages are searched.
  package enum Search: Sendable, CaseIterable {
    /// By the kernel (PAGEMAP_SCAN), which passes over what was never touched at once; by their entries where it cannot (before Linux 6.7).
    case scan
    /// By their entries alone, of eight bytes each. For tests and measurements.
    case entries
  }

  /// The map of process `processID`.
  ///
  /// - Throws: EACCES or EPERM without the right to trace the process.
  package init(of processID: Int32, by search: Search = .scan) throws(SystemCallError) {
    path = FilePath("/proc/\(processID)/pagemap")
    descriptor = try openDescriptor(path, flags: O_RDONLY)
    canScan = Atomic(search == .scan)
  }

  /// Whether the kernel searches, as far as is known: it has not been asked before the first search.
  var scans: Bool { canScan.load(ordering: .relaxed) }

  /// The first run of pages in `addresses` that are in memory or swapped out, and may have other bytes than zeros; `nil` where there is
  /// none.
  ///
  /// What was read and never written maps the kernel's page of zeros. It is passed over, but where the kernel does not tell (Linux before
  /// 6.7): a reader from outside, like process_vm_readv(2), leaves huge ones wherever it reads what was never touched.
  ///
  /// - Complexity: O(pages in memory up to the end of the run), before Linux 6.7 O(pages).
  /// - Throws: ESRCH where the process has ended; an error where it can have no such addresses.
  package func nextPresent(
    in addresses: Range<UInt64>
  ) throws(SystemCallError) -> Range<UInt64>? {
    // Bits 63 and 62: present, swapped.
    try next(.nonzero, in: addresses) { $0 >> 62 != 0 }
  }

  /// The first run of pages in `addresses` that are in memory or swapped out, and no file's: where a file is mapped privately, the copies
  /// that the process has made by writing. `nil` where there is none.
  ///
  /// - Complexity, and throws: as `nextPresent`.
  package func nextOwn(in addresses: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
    // Bit 61: a page of a file, or of shared memory.
    try next(.own, in: addresses) { $0 >> 62 != 0 && $0 >> 61 & 1 == 0 }
  }

  /// The first run of pages in `addresses` that are mapped by huge pages, and may have other bytes than zeros; `nil` where there is none,
  /// and where the kernel does not tell (Linux before 6.7).
  ///
  /// - Complexity, and throws: as `nextPresent`.
  package func nextHuge(in addresses: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
    // Entries do not have it.
    guard scans else { return nil }
    return try next(.huge, in: addresses) { _ in false }
  }

  /// Whether the page at `address` is protected from being written, by userfaultfd (bit 57; Linux 5.13).
  ///
  /// - Throws: ESRCH where the process has ended.
  package func isProtected(_ address: UInt64) throws(SystemCallError) -> Bool {
    try entries(from: address / Self.pageBytes, count: 1).first.map { $0 >> 57 & 1 == 1 } ?? false
  }

  /// What is searched.
  private enum Kind {
    case nonzero, own, huge

    var number: Int32 {
      switch self {
      case .nonzero: Int32(CLinux_PAGES_NONZERO)
      case .own: Int32(CLinux_PAGES_OWN)
      case .huge: Int32(CLinux_PAGES_HUGE)
      }
    }
  }

  private func next(
    _ kind: Kind, in addresses: Range<UInt64>, _ isWanted: (UInt64) -> Bool
  ) throws(SystemCallError) -> Range<UInt64>? {
    guard !addresses.isEmpty else { return nil }
    if scans {
      do throws(SystemCallError) {
        return try scan(kind, in: addresses)
      } catch {
        // What kernels say that do not know the call, and places that let no call through that they do not know.
        let isUnknown: [Errno] = [
          .inappropriateIOCTLForDevice, .invalidArgument, .noFunction, .notPermitted,
          .notSupported,
        ]
        guard isUnknown.contains(error.errno) else { throw error }
        canScan.store(false, ordering: .relaxed)
      }
    }
    return try nextRun(in: addresses, isWanted)
  }

  private func scan(
    _ kind: Kind, in addresses: Range<UInt64>
  ) throws(SystemCallError) -> Range<UInt64>? {
    let mask = Self.pageBytes - 1
    let (end, isTooFar) = addresses.upperBound.addingReportingOverflow(mask)
    guard !isTooFar else { throw failure(.badAddress) }
    let pages = addresses.lowerBound & ~mask..<end & ~mask
    var position = pages.lowerBound
    while position < pages.upperBound {
      var (first, last, walked): (UInt64, UInt64, UInt64) = (0, 0, 0)
      // SAFETY: the numbers are written before the call returns, and are not kept.
      let count = unsafe CLinux_nextPages(
        descriptor.rawValue, position, pages.upperBound, kind.number, &first, &last,
        &walked)
      if count == -EINTR { continue }
      try check(count, .ioctl, .file(path))
      // What the kernel says is believed where it can be.
      guard walked > position, walked <= pages.upperBound else { throw failure(.invalidArgument) }
      if count > 0 {
        guard first >= position, first < last, last <= pages.upperBound, (first | last) & mask == 0
        else { throw failure(.invalidArgument) }
        return (first..<last).clamped(to: addresses)
      }
      position = walked
    }
    // There may be nothing since the process has given up its memory meanwhile: its entries cannot be read then.
    _ = try entries(from: pages.lowerBound / Self.pageBytes, count: 1)
    return nil
  }

  private func failure(_ errno: Errno) -> SystemCallError {
    SystemCallError(call: .ioctl, errno: errno, subject: .file(path))
  }

  /// The first run of pages in `addresses` whose entries are as `isWanted` says.
  private func nextRun(
    in addresses: Range<UInt64>, _ isWanted: (UInt64) -> Bool
  ) throws(SystemCallError) -> Range<UInt64>? {
    guard !addresses.isEmpty else { return nil }
    let size = Self.pageBytes
    var start: UInt64?
    var page = addresses.lowerBound / size
    let end = (addresses.upperBound - 1) / size + 1
    while page < end {
      let count = Int(min(end - page, Self.entriesAtOnce))
      for entry in try entries(from: page, count: count) {
        switch (start, isWanted(entry)) {
        case (nil, true): start = page
        case (.some(let first), false): return clamp(first..<page, to: addresses)
        default: break
        }
        page += 1
      }
    }
    return start.map { clamp($0..<end, to: addresses) }
  }

  private func clamp(_ pages: Range<UInt64>, to addresses: Range<UInt64>) -> Range<UInt64> {
    // The last page of all ends where no number is.
    let end = pages.upperBound.multipliedReportingOverflow(by: Self.pageBytes)
    return (pages.lowerBound * Self.pageBytes..<(end.overflow ? .max : end.partialValue))
      .clamped(to: addresses)
  }

  private func entries(from page: UInt64, count: Int) throws(SystemCallError) -> [UInt64] {
    let number = descriptor.rawValue
    let offset = try signedOffset(page * 8, .pread, path)
    var entries = [UInt64](repeating: 0, count: count)
    let read = try retryingInterrupted(.pread, .file(path)) {
      // SAFETY: the array is as long as the call is told, and lives for it.
      unsafe entries.withUnsafeMutableBytes { buffer in
        unsafe pread(number, buffer.baseAddress, buffer.count, offset)
      }
    }
    // Nothing is read once the process has given up its memory, and behind the last address.
    guard read >= 8 else {
      throw SystemCallError(call: .pread, errno: .noSuchProcess, subject: .file(path))
    }
    return Array(entries.prefix(read / 8))
  }
}
