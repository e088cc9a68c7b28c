package import LinuxIO
package import LinuxProcesses

/// The contents of a RAMBlock in the memory of another process, copied by calls.
package struct ProcessPages: PageSource, PageTarget, CopyingSource, CopyingTarget {
  private let memory: ProcessMemory
  private let address: UInt64
  /// Bytes in the block.
  package let byteCount: UInt64
  /// Which pages of the process there are; `nil` where what was never touched may have other bytes than zeros.
  private let pageMap: PageMap?
  /// Whether all pages that were there have been cleared, so that the memory is zero as if it had never been touched.
  package var isCleared = false

  /// `byteCount` bytes of `memory` from `address` on.
  ///
  /// - Parameter pageMap: that of the process, if the memory is private and without a file: pages that were never touched are
  ///   zero then, and are neither read nor, in a restore, written.
  package init(
    _ memory: ProcessMemory, at address: UInt64, byteCount: UInt64, pageMap: PageMap? = nil
  ) {
    self.memory = memory
    self.address = address
    self.byteCount = byteCount
    self.pageMap = pageMap
  }

  /// Whether no page of the memory was ever touched, as far as it can be told, or it was cleared.
  package var startsZero: Bool {
    guard !isCleared else { return true }
    guard let pageMap else { return false }
    do throws(SystemCallError) {
      return try pageMap.nextPresent(in: address..<(address + byteCount)) == nil
    } catch {
      return false
    }
  }

  /// Copied by process_vm_readv.
  package var readAccess: SourceAccess { .copy(self) }
  /// Copied by process_vm_writev.
  package var writeAccess: TargetAccess { .copy(self) }

  /// The first part of `range` that the process has touched.
  package func nextData(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
    guard let pageMap, !range.isEmpty else { return range.isEmpty ? nil : range }
    let addresses = (address + range.lowerBound)..<(address + range.upperBound)
    guard let found = try pageMap.nextPresent(in: addresses) else { return nil }
    return (found.lowerBound - address)..<(found.upperBound - address)
  }

  /// Fills `buffer` with the bytes at `offset`.
  package func copy(
    into buffer: UnsafeMutableRawBufferPointer, from offset: UInt64
  ) throws(SystemCallError) {
    try unsafe memory.read(into: buffer, from: address + offset)
  }

  /// Puts the bytes of `buffer` at `offset`.
  package func copy(
    from buffer: UnsafeRawBufferPointer, to offset: UInt64
  ) throws(SystemCallError) {
    try unsafe memory.write(from: buffer, to: address + offset)
  }
}
