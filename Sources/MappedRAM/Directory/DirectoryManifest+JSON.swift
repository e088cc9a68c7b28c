import FoundationEssentials
import LinuxIO
import MappedRAMFormat
public import SystemPackage

extension DirectoryManifest {
  /// Bytes that a manifest may have: 64 MiB, far beyond thousands of blocks with thousands of runs each.
  static let maximumBytes = 64 << 20

  /// Reads the manifest of `directory`, and checks it.
  ///
  /// - Throws: `ImageError`: where the file cannot be read; `PlanError.fileTooLong`; `PlanError.manifest` where it is not what it
  ///   should be.
  public init(readingFrom directory: FilePath) throws(ImageError) {
    let path = directory.appending(Self.fileName)
    let bytes = try ImageFile(opening: path).readAll(limit: ByteCount(Self.maximumBytes))
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(bytes))
    } catch {
      throw .plan(.manifest(path, .unreadable(detail: Self.detail(of: error))))
    }
    guard schemaVersion == Self.currentVersion else {
      throw .plan(
        .manifest(
          path, .schemaVersion(found: schemaVersion, supported: Self.currentVersion)))
    }
    for name in fileNames where !FileName.isPlain(name) {
      throw .plan(.manifest(path, .unsafeName(name)))
    }
  }

  /// The names of all files that belong together, the manifest's own among them.
  var fileNames: [String] {
    let own: [String?] = [Self.fileName, prefixFile, preambleFile, vmstateFile]
    return (own + blocks.map(\.file) + (devices ?? []).map(\.file)).compactMap { $0 }
  }

  /// The manifest as a file's bytes, with sorted keys.
  func encoded() -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      return try Array(encoder.encode(self)) + [UInt8(ascii: "\n")]
    } catch {
      preconditionFailure("numbers and strings can be encoded: \(error)")
    }
  }

  /// A value of a manifest as it stands there, on one line.
  static func text(of value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return String(decoding: try encoder.encode(value), as: UTF8.self)
    } catch {
      preconditionFailure("numbers and strings can be encoded: \(error)")
    }
  }

  private static func detail(of error: any Error) -> String {
    guard let error = error as? DecodingError else { return "\(error)" }
    func place(_ context: DecodingError.Context) -> String {
      let path = context.codingPath.map { key in key.intValue.map { "[\($0)]" } ?? key.stringValue }
      return path.isEmpty ? "the file" : path.joined(separator: ".")
    }
    switch error {
    case .keyNotFound(let key, let context):
      return "\(place(context)) has no key \"\(key.stringValue)\""
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      return "\(place(context)) is not of the right type"
    case .dataCorrupted(let context):
      return "\(place(context)) is not JSON, or has a number out of range"
    @unknown default:
      return "\(error)"
    }
  }
}
