import Glibc
import SystemPackage

/// Which pages of a process are in memory or swapped out (proc_pid_pagemap(5)).
public final class PageMap: Sendable {
  private let descriptor: OwnedDescriptor
  private let path: FilePath
  /// The size of the pages that it counts, in bytes.
  public static let pageBytes = UInt64(sysconf(Int32(_SC_PAGESIZE)))

  /// The map of process `processID`.
  ///
  /// - Throws: EACCES or EPERM without the right to trace the process.
  public init(of processID: Int32) throws(SystemCallError) {
    path = FilePath("/proc/\(processID)/pagemap")
    descriptor = try openDescriptor(path, flags: O_RDONLY)
  }

  /// The first run of pages in `addresses` that are in memory or swapped out; `nil` where there is none.
  ///
  /// - Complexity: O(pages up to the end of the run).
  /// - Throws: what pread gives; EIO where the kernel says less than was asked for.
  public func nextPresent(
    in addresses: Range<UInt64>
  ) throws(SystemCallError) -> Range<UInt64>? {
    let size = Self.pageBytes
    var start: UInt64?
    var page = addresses.lowerBound / size
    let end = (addresses.upperBound + size - 1) / size
    while page < end {
      let count = Int(min(end - page, 512))
      for entry in try entries(from: page, count: count) {
        // Bits 63 and 62: present, swapped.
        let isPresent = entry >> 62 != 0
        switch (start, isPresent) {
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
    (pages.lowerBound * Self.pageBytes..<pages.upperBound * Self.pageBytes).clamped(to: addresses)
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
    guard read == count * 8 else {
      throw SystemCallError(call: .pread, errno: .ioError, subject: .file(path))
    }
    return entries
  }
}
