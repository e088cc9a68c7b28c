import FoundationEssentials
import LinuxIO
import MappedRAMFormat
package import SystemPackage

extension DirectoryManifest {
  /// Bytes that a manifest may have: 64 MiB, far beyond thousands of blocks with thousands of runs each.
  static let maximumBytes = 64 << 20

  /// Reads the manifest of `directory`, and checks it.
  ///
  /// - Throws: `ImageError`: where the file cannot be read; `PlanError.fileTooLong`; `PlanError.manifest` where it is not what it
  ///   should be.
  package init(readingFrom directory: FilePath) throws(ImageError) {
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
    let own: [String?] = [Self.fileName, prefixFile, preambleFile, vmstateFile, factsFile]
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

extension DirectoryManifest {
  /// Makes sure that the manifest, which is at `path`, describes an image; what is in its files is looked at elsewhere.
  ///
  /// A manifest may have been edited, or made by hand: whatever it says that cannot be is named, before anything is written.
  ///
  /// - Throws: `PlanError.manifest`.
  func check(at path: FilePath) throws(ImageError) {
    let configuration = try streamConfiguration(at: path)
    if let problem = machineTypeProblem ?? blockProblem(configuration) ?? deviceProblem {
      throw .plan(.manifest(path, problem))
    }
  }

  private var machineTypeProblem: ManifestProblem? {
    do throws(FormatError) {
      try Configuration(machineType: machineType, subsections: []).check(at: .zero)
      return nil
    } catch {
      return .badValue(key: "machineType", found: Self.text(of: machineType))
    }
  }

  private func blockProblem(_ configuration: Configuration) -> ManifestProblem? {
    guard configuration.isMappedRAM else { return .notMappedRAM }
    guard let first = blocks.first else { return .noBlocks }
    for block in blocks {
      if block.file == nil, !configuration.ignoresShared { return .blockWithoutFile(block.idstr) }
      if block.pageSize != first.pageSize {
        return .badValue(key: "pageSize", found: "\(block.pageSize)")
      }
    }
    return nil
  }

  private var deviceProblem: ManifestProblem? {
    let devices = devices ?? []
    guard devices.count <= ImageLimits.devices else {
      return .badValue(key: "devices", found: "\(devices.count) of them")
    }
    var identities: Set<DeviceIdentity> = []
    for device in devices {
      let identity = device.identity
      guard identity.isNameValid, identities.insert(identity).inserted else {
        return .badValue(key: "devices", found: Self.text(of: identity.description))
      }
      if let problem = device.problem { return problem }
    }
    return overlap(of: devices)
  }

  /// Two buffers at one place.
  private func overlap(of devices: [Device]) -> ManifestProblem? {
    let all = devices.flatMap(\.buffers).filter { $0[1] > 0 }.sorted { $0[0] < $1[0] }
    for (left, right) in zip(all, all.dropFirst()) where left[0] + left[1] > right[0] {
      return .badValue(key: "buffers", found: "\(right)")
    }
    return nil
  }
}

extension DirectoryManifest.Device {
  /// Far beyond all limits, and no sum with it leaves 64 bits.
  private static let mostOffset = UInt64(1) << 60

  fileprivate var problem: ManifestProblem? {
    guard (1...ImageLimits.deviceBuffers).contains(buffers.count) else {
      return .badValue(key: "buffers", found: buffers.isEmpty ? "[]" : "\(buffers.count) of them")
    }
    for buffer in buffers
    where buffer.count != 2 || buffer[0] > Self.mostOffset
      || buffer[1] > UInt64(ImageLimits.deviceBufferBytes)
    {
      return .badValue(key: "buffers", found: "\(buffer)")
    }
    for number in configurationBuffers ?? [] where !buffers.indices.contains(number) {
      return .badValue(key: "configurationBuffers", found: "\(number)")
    }
    return nil
  }
}
