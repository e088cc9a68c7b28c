import Glibc
import SystemPackage

/// The kernel's bits that tell which pages a process has written to (Linux, Documentation/admin-guide/mm/soft-dirty.rst).
public enum SoftDirty {
  /// Whether this kernel has them (CONFIG_MEM_SOFT_DIRTY). A page that has just been written to has the bit then, whether or not
  /// bits were ever cleared: so nothing about any process is changed to find out.
  ///
  /// - Throws: what the page map of this process gives.
  public static func isAvailable() throws(SystemCallError) -> Bool {
    let page = try AlignedBuffer(byteCount: Int(PageMap.pageBytes))
    return try PageMap(of: getpid()).isSoftDirty(page)
  }

  /// Clears the bits of all pages of process `processID`: from now on they tell what was written since.
  ///
  /// There is one set of bits: another user of them, such as CRIU, on the same process is disturbed.
  ///
  /// - Throws: EACCES without the right to write to the process's files in /proc.
  public static func clear(_ processID: Int32) throws(SystemCallError) {
    let path = FilePath("/proc/\(processID)/clear_refs")
    let descriptor = try openDescriptor(path, flags: O_WRONLY)
    let number = descriptor.rawValue
    _ = try retryingInterrupted(.write, .file(path)) {
      // SAFETY: one byte of a constant, for the time of the call.
      unsafe "4".withCString { unsafe Glibc.write(number, $0, 1) }
    }
  }
}

extension PageMap {
  fileprivate func isSoftDirty(_ page: borrowing AlignedBuffer) throws(SystemCallError) -> Bool {
    let address = unsafe UInt64(UInt(bitPattern: page.base))
    return try nextRun(in: address..<(address + PageMap.pageBytes)) { PageEntry($0).isSoftDirty }
      != nil
  }

  /// The first run of pages in `addresses` that were written to since the bits were cleared, or that are not there; `nil` where
  /// there is none.
  ///
  /// - Throws: as `nextPresent`.
  public func nextSoftDirty(
    in addresses: Range<UInt64>
  ) throws(SystemCallError) -> Range<UInt64>? {
    try nextRun(in: addresses) { PageEntry($0).mayHaveChanged }
  }
}

/// An entry of a page map (proc_pid_pagemap(5)).
struct PageEntry {
  let rawValue: UInt64

  init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// Bits 63 and 62: present, swapped.
  var isPresent: Bool { rawValue >> 62 != 0 }
  /// Bit 55: written to since the bits were cleared.
  var isSoftDirty: Bool { rawValue & 1 << 55 != 0 }
  /// Whether the page may be another one than when the bits were cleared.
  var mayHaveChanged: Bool { isSoftDirty || !isPresent }
}
