import Foundation
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
    await #expect(processExitsWith: .success) {
      [text = path.string as String, isWhole = kind.isWhole as Bool] in
      let start = ContinuousClock.now
      let image = try Image(reading: File.open(FilePath(text), access: .read))
      #expect(image.isComplete == isWhole, "\(image.problems)")
      #expect(ResourceUsage.current().maximumResidentBytes < 200 << 20)
      #expect(ContinuousClock.now - start < .seconds(90))
    }
  }
}
