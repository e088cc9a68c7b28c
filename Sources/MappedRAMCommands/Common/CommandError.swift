import LinuxIO
import MappedRAM
import MappedRAMBench
import QEMUControl
import SystemPackage

/// Why a command fails, apart from mistakes in its arguments alone.
enum CommandError: Error, Equatable, Sendable {
  /// The engine failed; `output` is what was to be made: an image, or a directory.
  case image(ImageError, output: FilePath?)
  /// A VM could not be dealt with; `output` is what was to be made, and `isLive` whether by a live save.
  case vm(VMError, output: FilePath?, isLive: Bool = false)
  /// The command's own work failed: a thread, standard output.
  case system(SystemCallError)
  /// What is at the path is for another command than this one: the words of that.
  case otherCommand(FilePath, found: InodeType, [String])
  /// An option that is for images, where the subject is the socket of a running VM.
  case notForVM(option: String, FilePath)
  /// A directory with a manifest, and options that would contradict it.
  case manifestAndOptions(FilePath, options: [String])
  /// A directory without a manifest, and nothing that says what the blocks are.
  case noManifest(FilePath)
  /// Another offset is asked for than the one after what stands before the stream.
  case offsetWithPrefix(FilePath, expected: UInt64)
  /// Work on a file or device that is written where it is was interrupted, and this is left.
  case interrupted(FilePath, leaving: Remains)
  /// The time that the command had is over; what that has interrupted.
  indirect case timedOut(Duration, CommandError)
  /// A picture is to take the place of a file that is none.
  case notAPicture(FilePath)
  /// A measurement failed for a reason of its own.
  case bench(BenchError)
  /// A file that is to be compared with is no report of bench.
  case notABench(FilePath)
  /// A report that is to be compared with is of something else.
  case incomparable(FilePath, [BenchComparison.Difference])
}

/// What is left of an image that work was interrupted on.
enum Remains: Equatable, Sendable {
  /// None.
  case noImage
  /// The same, with less room taken.
  case compacted
  /// What was there.
  case unchanged
  /// What was there, some of it put back.
  case partlyRepaired
}

extension CommandError {
  /// Runs `body`, which works on `image` where it is; if it is interrupted, the error says what is left.
  static func leaving<Value>(
    _ remains: Remains, of image: FilePath, _ body: () throws(CommandError) -> Value
  ) throws(CommandError) -> Value {
    do throws(CommandError) {
      return try body()
    } catch .image(.cancelled, output: image) {
      throw .interrupted(image, leaving: remains)
    } catch {
      throw error
    }
  }

  /// Runs `body` and gives its error as this module's.
  static func vm<Value: ~Copyable>(
    to output: FilePath?, isLive: Bool = false, _ body: () throws(VMError) -> Value
  ) throws(CommandError) -> Value {
    do throws(VMError) {
      return try body()
    } catch .image(let error) {
      throw .image(error, output: output)
    } catch {
      throw .vm(error, output: output, isLive: isLive)
    }
  }

  /// Runs `body` and gives its error as this module's.
  static func image<Value>(
    to output: FilePath?, _ body: () throws(ImageError) -> Value
  ) throws(CommandError) -> Value {
    do throws(ImageError) {
      return try body()
    } catch {
      throw .image(error, output: output)
    }
  }

  /// Runs `body` and gives its error as this module's.
  static func system<Value: ~Copyable>(
    _ body: () throws(SystemCallError) -> Value
  ) throws(CommandError) -> Value {
    do throws(SystemCallError) {
      return try body()
    } catch {
      throw .system(error)
    }
  }
}

extension CommandError: CustomStringConvertible {
  /// One or two sentences: what was found, what was expected, what to do.
  var description: String {
    switch self {
    // In place it is another error.
    case .image(.cancelled, output: _?): "Interrupted; nothing was left behind."
    case .image(let error, _): Self.text("\(error)", error.advice)
    case .vm(let error, _, let isLive): Self.text("\(error)", error.advice(isLive: isLive))
    case .system(let error): error.description
    case .otherCommand(let path, let found, let words):
      "\(path): is a \(found.rawValue). Type: \(CommandLine.text(["mapped-ram"] + words))"
    case .notForVM(let option, let path):
      "\(option) is for an image, and \(path) is the socket of a running VM."
    case .manifestAndOptions(let manifest, let options):
      "\(manifest): this manifest defines the blocks, so \(options.joined(separator: ", ")) cannot be given "
        + "as well. Leave that out, or rename the manifest to build an image by hand from the files beside it."
    case .noManifest(let manifest):
      "\(manifest): no such file. A directory that \"mapped-ram unpack\" wrote has one; for files of "
        + "your own give --machine, --vmstate and a --block for each RAMBlock."
    case .offsetWithPrefix(let manifest, let expected):
      "\(manifest): what stands before the stream belongs to this image, so the stream begins at \(expected). "
        + "Leave --offset out."
    case .notAPicture(let path):
      "\(path): this file is not a picture (SVG) and would be lost: nothing was changed. Choose another name, or remove it."
    case .interrupted(let path, let remains): "\(path): interrupted; \(remains)"
    case .timedOut(let time, .image(.cancelled, output: _?)):
      "Timed out after \(NumberText.duration(time)) (--timeout); nothing was left behind."
    case .timedOut(let time, .image(.cancelled, output: nil)):
      "Timed out after \(NumberText.duration(time)) (--timeout)."
    case .timedOut(let time, let error):
      "Timed out after \(NumberText.duration(time)) (--timeout). \(error.description)"
    case .bench(let error): error.text
    case .notABench(let path):
      "\(path): this is not a report of \"mapped-ram bench --json\" of this version."
    case .incomparable(let path, let differences):
      "\(path): this run cannot be compared with that one: "
        + differences.map { "\($0.what) was \($0.old) and is \($0.new)" }.joined(separator: "; ")
        + "."
    }
  }

  private static func text(_ what: String, _ advice: String?) -> String {
    advice.map { "\(what) \($0)" } ?? what
  }
}

extension Remains: CustomStringConvertible {
  /// The rest of a sentence, and what to do.
  var description: String {
    switch self {
    case .noImage: "it contains no image now."
    case .compacted: "the image is intact, and some disk space may be freed already."
    case .unchanged: "the image is as it was before."
    case .partlyRepaired:
      "what was repaired so far is right, and the rest is as it was. Run it again."
    }
  }
}
