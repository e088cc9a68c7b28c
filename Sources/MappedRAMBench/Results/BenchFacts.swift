package import LinuxIO
import MappedRAM
package import SystemPackage

/// The machine and what its kernel and file system offer.
package struct BenchFacts: Sendable {
  package var kernel: String
  package var processor: String?
  package var processors: Int
  package var memoryBytes: UInt64
  /// The type of the directory's file system, and what is mounted; `nil` where the mount table does not have it.
  package var fileSystem: String?
  package var device: String?
  /// Whether files there can bypass the page cache, and how they must be aligned.
  package var directIO: DirectIO
  /// Names of what io_uring can do, or why there is none.
  package var ring: Result<[String], SystemCallError>
}

extension BenchFacts {
  /// Those of this machine, for files in `directory`.
  package init(of directory: FilePath) throws(BenchError) {
    kernel = Machine.kernel
    processor = Machine.processorName
    processors = Machine.processors
    memoryBytes = Machine.totalMemory ?? 0
    let place = try? FileSystem(at: directory)
    fileSystem = place?.type
    device = place?.source
    directIO = try BenchError.image(to: directory) { () throws(ImageError) in
      try BenchFile.create(
        beside: directory.appending("mapped-ram-bench"), directIO: .auto
      ).directIO
    }
    ring = EngineFacts.ringFeatures()
  }
}
