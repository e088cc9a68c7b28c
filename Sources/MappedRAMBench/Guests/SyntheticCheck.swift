import Glibc
package import LinuxIO
package import MappedRAM
import Synchronization

/// Takes the memory of a `SyntheticGuest` back and looks at every byte of it, keeping none.
package final class SyntheticCheck: PageTarget, CopyingTarget, Sendable {
  private let guest: SyntheticGuest
  private let checked = Atomic<UInt64>(0)
  private let mismatches = Atomic<UInt64>(0)
  // Signed: `Atomic<UInt64>.min` compares as though it were (Swift 6.3.1).
  private let first = Atomic<Int>(.max)

  /// A check against `guest`.
  package init(_ guest: SyntheticGuest) { self.guest = guest }

  /// Bytes in the guest's memory.
  package var byteCount: UInt64 { guest.byteCount }
  /// Looked at by calls.
  package var writeAccess: TargetAccess { .copy(self) }
  /// False, so that absent pages are handed over as well.
  package var startsZero: Bool { false }

  /// Pages that were looked at. Every page of the guest was if this is their number.
  package var checkedPages: UInt64 { checked.load(ordering: .relaxed) }
  /// Those that were not as the guest made them.
  package var mismatchedPages: UInt64 { mismatches.load(ordering: .relaxed) }
  /// The lowest number of such a page.
  package var firstMismatch: UInt64? {
    let page = first.load(ordering: .relaxed)
    return page == .max ? nil : UInt64(page)
  }
  /// Whether every page came back, as it was.
  package var isGood: Bool { mismatchedPages == 0 && checkedPages == guest.pageCount }

  /// Compares the pages in `source` with those at `offset`.
  ///
  /// - Precondition: whole pages.
  package func copy(
    from source: UnsafeRawBufferPointer, to offset: UInt64
  ) throws(SystemCallError) {
    let page = SyntheticGuest.firstPage(offset, source.count)
    guard let base = source.baseAddress else { return }
    let count = source.count / SyntheticGuest.pageBytes
    for index in 0..<count {
      // SAFETY: the pages lie inside the source.
      guard
        unsafe !guest.matches(page + UInt64(index), at: base + index * SyntheticGuest.pageBytes)
      else { continue }
      mismatches.wrappingAdd(1, ordering: .relaxed)
      first.min(Int(page) + index, ordering: .relaxed)
    }
    checked.wrappingAdd(UInt64(count), ordering: .relaxed)
  }
}

/// Whether `count` bytes are equal at both places.
func equalBytes(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, count: Int) -> Bool {
  // SAFETY: the caller has `count` bytes at each.
  unsafe memcmp(left, right, count) == 0
}
