extension Configuration {
  /// The section of a mapped-ram image.
  ///
  /// - Parameters:
  ///   - machineType: with its version, as QEMU resolves it: `pc-q35-10.0`.
  ///   - targetPageBits: binary logarithm of the target's page size, where QEMU writes it: for Arm, not for x86.
  ///   - uuid: the VM's UUID, where the destination is to compare it.
  public static func mappedRAM(
    machineType: String, targetPageBits: UInt32? = nil, uuid: [UInt8]? = nil
  ) -> Configuration {
    var subsections: [Subsection] = []
    if let targetPageBits { subsections.append(.targetPageBits(targetPageBits)) }
    subsections.append(.capabilities([mappedRAMCapability]))
    if let uuid { subsections.append(.uuid(uuid)) }
    return Configuration(machineType: machineType, subsections: subsections)
  }

  /// This section as that of a mapped-ram image: the same, but for the capabilities.
  public var asMappedRAM: Configuration {
    var bits: UInt32?
    for case .targetPageBits(let found) in subsections { bits = found }
    return .mappedRAM(machineType: machineType, targetPageBits: bits, uuid: uuid)
  }

  /// This section as that of a plain stream: without `mapped-ram`, and without a list of capabilities that is empty then.
  public var withoutMappedRAM: Configuration {
    var copy = self
    copy.subsections = subsections.compactMap { subsection in
      guard case .capabilities(let names) = subsection else { return subsection }
      let rest = names.filter { $0 != Self.mappedRAMCapability }
      return rest.isEmpty ? nil : .capabilities(rest)
    }
    return copy
  }
}
