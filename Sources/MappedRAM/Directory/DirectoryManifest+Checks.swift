import LinuxIO
import MappedRAMFormat
import SystemPackage

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
