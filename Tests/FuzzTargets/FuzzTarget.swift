import LinuxIO
public import SystemPackage

/// What a fuzzer, and the replay of what it has found, throw bytes at: each part of this project that reads what others wrote.
///
/// The bytes may be anything. Errors that a part throws are its answers; that it traps, hangs, leaks, or contradicts another part is a
/// finding.
public enum FuzzTarget: String, CaseIterable, Sendable {
  /// Whole images: `inspect` and a restore into memory.
  case image
  /// Plain migration streams.
  case stream
  /// The stream of a background snapshot, as it comes in parts.
  case sentStream = "sent-stream"
  /// The JSON description of the device state, and the decoder that goes by it.
  case description
  /// The area of devices' states behind a stream.
  case deviceArea = "device-area"
  /// The area of sums behind a stream.
  case sums
  /// The JSON of an image's facts.
  case facts
  /// What libvirt puts before a stream.
  case libvirt
  /// What QEMU says over QMP.
  case qmp
  /// QEMU's command line.
  case commandLine = "command-line"

  /// The most bytes that are worth trying. What stands in them matters, not how many they are.
  public var maximumByteCount: Int {
    switch self {
    case .image, .stream: 64 << 10
    case .description: 32 << 10
    case .deviceArea, .sums, .facts, .libvirt, .sentStream: 8 << 10
    case .qmp: 16 << 10
    case .commandLine: 4 << 10
    }
  }

  /// Lets the part read `bytes`.
  ///
  /// - Returns: whether it took them for what they should be, whole and right.
  /// - Throws: `Finding`, where parts of this project disagree about them.
  public func run(_ bytes: [UInt8]) throws(Finding) -> Bool {
    switch self {
    case .image: try ImageTarget.run(bytes)
    case .stream: try StreamTarget.run(bytes)
    case .sentStream: try SentStreamTarget.run(bytes)
    case .description: try DescriptionTarget.run(bytes)
    case .deviceArea: try DeviceAreaTarget.run(bytes)
    case .sums: try SumsTarget.run(bytes)
    case .facts: try FactsTarget.run(bytes)
    case .libvirt: try LibvirtTarget.run(bytes)
    case .qmp: try QMPTarget.run(bytes)
    case .commandLine: try CommandLineTarget.run(bytes)
    }
  }

  /// Bytes to begin with, made here. Each is whole and right.
  public var seeds: [FuzzSeed] {
    switch self {
    case .image: MadeImage.seeds
    case .stream: MadeStream.seeds
    case .sentStream: MadeSentStream.seeds
    case .description: MadeDescription.seeds
    case .deviceArea: MadeArea.seeds
    case .sums: MadeSums.seeds
    case .facts: FactsTarget.seeds
    case .libvirt: MadeContainer.seeds
    case .qmp: MadeConversation.seeds
    case .commandLine: MadeCommandLine.seeds
    }
  }

  /// Bytes to begin with, taken out of the image at `path`, which QEMU wrote: small enough to be changed at random with some hope.
  ///
  /// - Parameter name: what the image is called.
  /// - Throws: `Finding`, where it cannot be read so far.
  public func seeds(
    fromImageAt path: FilePath, named name: String
  ) throws(Finding) -> [FuzzSeed] {
    let image: File
    do throws(SystemCallError) {
      image = try File.open(path, access: .read, directIO: .off)
    } catch {
      throw Finding("\(error)")
    }
    return switch self {
    case .image: try TakenImage(image, name).image
    case .stream: try TakenImage(image, name).stream
    case .description: try TakenImage(image, name).description
    case .libvirt: try TakenImage(image, name).container
    case .deviceArea, .sums, .facts, .qmp, .commandLine, .sentStream: []
    }
  }
}

/// Bytes for a fuzzer to begin with.
public struct FuzzSeed: Equatable, Sendable, CustomStringConvertible {
  /// What it is called: a file name.
  public var name: String
  /// The bytes.
  public var bytes: [UInt8]

  /// The name.
  public var description: String { name }

  init(_ name: String, _ bytes: [UInt8]) {
    self.name = name
    self.bytes = bytes
  }
}

/// A contradiction between parts of this project, or within one.
public struct Finding: Error, Equatable, Sendable, CustomStringConvertible {
  /// What was found, as a sentence.
  public var description: String

  init(_ description: String) { self.description = description }
}

/// Makes sure of `condition`.
func require(
  _ condition: Bool, _ claim: @autoclosure () -> String
) throws(Finding) {
  guard condition else { throw Finding(claim()) }
}

/// What `body` gives, which must not fail.
func succeed<Value, Failure: Error>(
  _ what: String, _ body: () throws(Failure) -> Value
) throws(Finding) -> Value {
  do throws(Failure) {
    return try body()
  } catch {
    throw Finding("\(what): \(error)")
  }
}
