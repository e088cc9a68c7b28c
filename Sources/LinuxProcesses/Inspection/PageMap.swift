import Glibc
package import LinuxIO
import SystemPackage

/// Which pages of a process are in memory or swapped out (proc_pid_pagemap(5)).
package final class PageMap: Sendable {
  private let descriptor: OwnedDescriptor
  private let path: FilePath
  /// The size of the pages that it counts, in bytes.
  package static let pageBytes = UInt64(sysconf(Int32(_SC_PAGESIZE)))

  /// Pages that are asked for by one call: 2 MiB.
  static let entriesAtOnce: UInt64 = 512

  /// The map of process `processID`.
  ///
  /// - Throws: EACCES or EPERM without the right to trace the process.
  package init(of processID: Int32) throws(SystemCallError) {
    path = FilePath("/proc/\(processID)/pagemap")
    descriptor = try openDescriptor(path, flags: O_RDONLY)
  }

  /// The first run of pages in `addresses` that are in memory or swapped out; `nil` where there is none.
  ///
  /// - Complexity: O(pages up to the end of the run).
  /// - Throws: what pread gives; ESRCH where the process has ended, or can have no such addresses.
  package func nextPresent(
    in addresses: Range<UInt64>
  ) throws(SystemCallError) -> Range<UInt64>? {
    // Bits 63 and 62: present, swapped.
    try nextRun(in: addresses) { $0 >> 62 != 0 }
  }

  /// The first run of pages in `addresses` whose entries are as `isWanted` says.
  func nextRun(
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
