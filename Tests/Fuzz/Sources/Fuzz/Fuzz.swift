import CLibFuzzer
import FuzzTargets
import Glibc
import SystemPackage

/// The fuzzers of all targets in one program.
///
/// ```
/// Fuzz --target=NAME [ARGUMENTS OF LIBFUZZER] [FILE|DIRECTORY...]    fuzzes
/// Fuzz --target=NAME --seeds=DIRECTORY [IMAGE...]                   writes what to begin with: made, and taken out of images
/// Fuzz --targets                                                    prints the names
/// ```
@main
struct Fuzz {
  /// What the callback, which takes no more than bytes, runs.
  nonisolated(unsafe) private static var target = FuzzTarget.image
  /// libFuzzer's arguments. It ends the process by itself, and what nobody has then counts as a leak.
  nonisolated(unsafe) private static var words: [String] = []

  static func main() throws {
    let arguments = CommandLine.arguments
    if arguments.contains("--targets") {
      for target in FuzzTarget.allCases { print(target.rawValue) }
      return
    }
    guard let name = option("target", in: arguments), let target = FuzzTarget(rawValue: name) else {
      fatalError("--target=NAME: give one of \(FuzzTarget.allCases.map(\.rawValue))")
    }
    if let directory = option("seeds", in: arguments) {
      let images = arguments.dropFirst().filter { !$0.hasPrefix("--") }
      return try writeSeeds(of: target, images.map { FilePath($0) }, into: FilePath(directory))
    }
    unsafe Self.target = target
    // It passes over what begins with two dashes, and hands it on to the processes that it starts.
    unsafe words = arguments + ["-max_len=\(target.maximumByteCount)"]
    fuzz()
  }

  private static func option(_ name: String, in arguments: [String]) -> String? {
    let start = "--\(name)="
    return arguments.first { $0.hasPrefix(start) }.map { String($0.dropFirst(start.count)) }
  }

  private static func writeSeeds(
    of target: FuzzTarget, _ images: [FilePath], into directory: FilePath
  ) throws {
    var seeds = target.seeds
    for path in images {
      seeds += try target.seeds(fromImageAt: path, named: path.stem ?? "image")
    }
    for seed in seeds where seed.bytes.count <= target.maximumByteCount {
      let descriptor = try FileDescriptor.open(
        directory.appending(seed.name), .writeOnly, options: [.create, .truncate],
        permissions: .ownerReadWrite)
      try descriptor.closeAfter { _ = try descriptor.writeAll(seed.bytes) }
    }
  }

  /// Does not return before libFuzzer has come to its end.
  private static func fuzz() {
    let words = unsafe Self.words
    // SAFETY: each word ends with a zero, the list with a null; both live as long as the process.
    let list = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(
      capacity: words.count + 1)
    for (index, word) in words.enumerated() { unsafe list[index] = unsafe strdup(word) }
    unsafe list[words.count] = nil
    var count = CInt(words.count)
    var pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe list
    let status = unsafe LLVMFuzzerRunDriver(&count, &pointer) { data, size in
      // SAFETY: libFuzzer's bytes are there for the time of the call, and are copied.
      unsafe Fuzz.run(Array(UnsafeRawBufferPointer(start: data, count: size)))
    }
    exit(status)
  }

  private static func run(_ bytes: [UInt8]) -> CInt {
    do {
      _ = unsafe try target.run(bytes)
      return 0
    } catch {
      fatalError("\(error)")
    }
  }
}
