import Foundation
import Glibc
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// Files that are made to cost a reader much time or memory do not.
@Suite struct HostileSizeTests {
  /// Reads each file in a process of its own: it takes less than 200 MiB at its peak, and its time does not grow faster than the
  /// file. (A release build takes less than a second for each; the limit leaves room for debug builds and busy machines.)
  @Test(arguments: CostlyFile.allCases)
  func costlyFileCostsLittle(_ kind: CostlyFile) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("\(kind).img")
    try kind.write(to: path)
    let limit: UInt64 = Self.isSanitized ? 2 << 30 : 200 << 20
    await #expect(processExitsWith: .success) {
      [text = path.string as String, isWhole = kind.isWhole as Bool, limit = limit as UInt64] in
      let start = ContinuousClock.now
      let image = try Image(reading: File.open(FilePath(text), access: .read))
      #expect(image.isComplete == isWhole, "\(image.problems)")
      #expect(ResourceUsage.current().maximumResidentBytes < limit)
      #expect(ContinuousClock.now - start < .seconds(30))
    }
  }

  /// Whether the thread sanitizer, which multiplies all memory, is in this process.
  // SAFETY: the name is a string of this program; the address is not used.
  private static let isSanitized = unsafe dlsym(nil, "__tsan_init") != nil
}
