import LinuxIO
import LinuxProcesses
import MappedRAM
package import QMP

/// Memory of a VM that the kernel maps by huge pages of its own accord (transparent huge pages).
///
/// QEMU takes the protection of a background snapshot off page by page, and the kernel then maps small pages where a huge one was: the guest
/// becomes slower, and the next snapshot's pause longer (our measurement: to touch 4 GiB takes QEMU 16 ms by huge pages, 150 to 250 ms by
/// small ones). khugepaged would mend that by and by: 16 MiB each ten seconds (Linux, `Documentation/admin-guide/mm/transhuge.rst`).
package struct HugeMemory: Sendable {
  private let process: ProcessHandle
  private let pageMap: PageMap
  /// What is mapped so, in ascending order.
  private let ranges: [Range<UInt64>]

  /// The kernel's huge pages.
  private static let pageBytes: UInt64 = 2 << 20
  /// What is asked for at once. A cancellation waits for it.
  private static let bytesAtOnce: UInt64 = 64 << 20

  /// The huge pages of `memory`; `nil` where there are none, or the kernel does not tell (Linux before 6.7).
  ///
  /// - Complexity: O(pages in memory): some milliseconds a GiB of small ones.
  init?(of memory: GuestMemory) {
    guard let pageMap = memory.pageMap else { return nil }
    var found: [Range<UInt64>] = []
    for place in memory.places where place.backing == .anonymous && !place.hasHugePages {
      var rest = place.addresses
      // A process that has ended has none.
      while let next = try? pageMap.nextHuge(in: rest) {
        found.append(next)
        rest = next.upperBound..<rest.upperBound
      }
    }
    guard !found.isEmpty else { return nil }
    process = memory.process
    self.pageMap = pageMap
    ranges = found
  }

  /// The huge pages of the VM behind `connection`, whose QEMU is `processID`; `nil` as the other, and where its memory cannot be read.
  package init?(
    ofVMBehind connection: QMPConnection, processID: Int32
  ) throws(VMError) {
    let vm = try RunningVM(lookingThrough: connection)
    guard let memory = try? GuestMemory.access(to: vm, processID: processID).get() else {
      return nil
    }
    self.init(of: memory)
  }

  /// Has the kernel map huge pages again where there are small ones now, with all that was in them.
  ///
  /// The process goes on meanwhile; who touches a page that is just being moved waits for it.
  ///
  /// - Complexity: O(bytes that are not mapped by huge pages), which are copied.
  @discardableResult
  package func mend(_ cancellation: Cancellation) -> HugeMemoryReport {
    var report = HugeMemoryReport()
    do throws(SystemCallError) {
      for range in ranges {
        for split in try splitParts(of: range) where !cancellation.isCancelled {
          report.splitBytes += UInt64(split.count)
          var refusal: SystemCallError?
          do throws(SystemCallError) {
            try process.collapse(split)
          } catch {
            refusal = error
          }
          report.refusal = report.refusal ?? refusal
          let left = try splitParts(of: split).reduce(0) { $0 + UInt64($1.count) }
          report.mendedBytes += UInt64(split.count) - min(left, UInt64(split.count))
          // Without the right, or huge pages, it is the same everywhere.
          if let refusal, [.notPermitted, .noMemory, .noFunction].contains(refusal.errno) {
            return report
          }
        }
      }
    } catch {
      // What has ended needs none.
      report.refusal = report.refusal ?? error
    }
    return report
  }

  /// Parts of `range`, each of whole huge pages, that are not mapped so; but for those where pages were given back.
  private func splitParts(
    of range: Range<UInt64>
  ) throws(SystemCallError) -> [Range<UInt64>] {
    var parts: [Range<UInt64>] = []
    var rest = range
    while !rest.isEmpty {
      let huge = try pageMap.nextHuge(in: rest)
      let split = rest.lowerBound..<(huge?.lowerBound ?? rest.upperBound)
      var position = split.lowerBound
      while position < split.upperBound {
        let present = try pageMap.nextPresent(in: position..<split.upperBound)
        guard let present else { break }
        position = present.upperBound
        let start = (present.lowerBound + Self.pageBytes - 1) / Self.pageBytes * Self.pageBytes
        let end = present.upperBound / Self.pageBytes * Self.pageBytes
        for first in stride(from: start, to: max(start, end), by: Int(Self.bytesAtOnce)) {
          parts.append(first..<min(end, first + Self.bytesAtOnce))
        }
      }
      rest = (huge?.upperBound ?? rest.upperBound)..<rest.upperBound
    }
    return parts
  }
}

/// What has become of the guest's huge pages in a save by a snapshot.
public struct HugeMemoryReport: Equatable, Sendable {
  /// Memory of huge pages, in bytes, that the kernel mapped by small ones, as QEMU's protection was taken off page by page.
  public var splitBytes: UInt64 = 0
  /// What of it is of huge pages again.
  public var mendedBytes: UInt64 = 0
  /// Why not all is, where the kernel has said so.
  public var refusal: SystemCallError?
}
