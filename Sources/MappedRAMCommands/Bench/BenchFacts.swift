import LinuxIO
import MappedRAM
import SystemPackage

/// The machine and what its kernel and file system offer.
struct BenchFacts: Codable, Equatable, Sendable {
  var kernel: String
  var processor: String?
  var processors: Int
  var memoryBytes: UInt64
  /// The type of the directory's file system; `nil` where the mount table has it not.
  var fileSystem: String?
  var device: String?
  /// `active`, `refused` or `off`.
  var directIO: String
  /// Bytes; `nil` without direct I/O.
  var memoryAlignment: Int?
  var offsetAlignment: Int?
  /// Names of what io_uring can do; `nil` where there is none.
  var ringFeatures: [String]?
  /// Why there is no io_uring.
  var ringRefusal: String?
}

extension BenchFacts {
  /// Those of this machine, for files in `directory`.
  init(of directory: FilePath) throws(CommandError) {
    kernel = Machine.kernel
    processor = Machine.processorName
    processors = Machine.processors
    memoryBytes = Machine.totalMemory ?? 0
    let place = try? FileSystem(at: directory)
    fileSystem = place?.type
    device = place?.source
    let file: File
    do throws(SystemCallError) {
      file = try PendingFile.create(
        at: directory.appending("mapped-ram-bench"), directIO: .auto
      ).file
    } catch {
      throw .image(.system(error), output: directory)
    }
    directIO = file.directIO.name
    if case .active(let memory, let offset) = file.directIO {
      (memoryAlignment, offsetAlignment) = (memory, offset)
    }
    switch EngineFacts.ringFeatures() {
    case .success(let features): ringFeatures = features
    case .failure(let error): ringRefusal = "\(error)"
    }
  }

  /// Two lines for people.
  var text: String {
    let place = [fileSystem, device.map { "on \($0)" }].compactMap { $0 }.joined(separator: " ")
    let direct =
      memoryAlignment.map {
        "direct I/O aligned to \($0) in memory, \(offsetAlignment ?? 0) in the file"
      }
      ?? "no direct I/O"
    let ring =
      ringFeatures.map { "io_uring (\($0.joined(separator: ", ")))" }
      ?? "no io_uring: \(ringRefusal ?? "")"
    return """
      Linux \(kernel), \(NumberText.count(UInt64(processors), "processor"))\(processor.map { " (\($0))" } ?? ""), \
      \(NumberText.bytes(memoryBytes)) of memory.
      \(place.isEmpty ? "unknown file system" : place); \(direct); \(ring).

      """
  }
}
