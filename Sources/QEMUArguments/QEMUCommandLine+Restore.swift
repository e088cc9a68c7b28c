extension QEMUCommandLine {
  /// Makes QEMU wait for the image, with its processors stopped after that if `isPaused`.
  ///
  /// - Throws: `conflict` for an option that does not go together with a restore.
  package mutating func prepareForRestore(isPaused: Bool = true) throws(LaunchRefusal) {
    for conflict in LaunchRefusal.Conflict.allCases where has(conflict.rawValue) {
      throw .conflict(conflict)
    }
    append("-incoming", "defer")
    if isPaused, !startsPaused { append("-S") }
  }

  /// Puts the blocks of an image in place of the memory that the arguments ask for, as far as that is possible:
  /// the main memory, its NUMA nodes, and pc-dimm devices.
  ///
  /// A backend and a block belong together by the backend's id. The user's backends keep their id, host nodes, policy,
  /// and what they say about merging, dumping and reserving.
  ///
  /// - Throws: `memorySize`, `needsSharedMemory`, `unreadable`; the command line is then as it was.
  package mutating func map(_ memory: MappedMemory) throws(LaunchRefusal) -> MappedMemory.Outcome {
    var changed = self
    var outcome = MappedMemory.Outcome()
    let uses = try memoryUses()
    for backend in try memoryBackends() {
      guard let used = uses[backend.id] else { continue }
      if let driver = used.compactMap(\.refusingDriver).first {
        outcome.notes.append(.keptBackend(id: backend.id, driver: driver))
      } else if let block = memory.block(ofBackend: backend.id) {
        try checkSize(of: backend, used, block)
        changed.replace(backend, by: block, of: memory, &outcome)
      }
    }
    try changed.mapMainBlock(of: memory, uses, &outcome)
    guard !outcome.mapped.isEmpty else { return outcome }
    try refuseSharing()
    changed.dropAllocation(&outcome)
    try noteDevices(&outcome)
    self = changed
    return outcome
  }

  private func checkSize(
    of backend: BackendArgument, _ uses: [MemoryUse], _ block: MappedMemory.Block
  ) throws(LaunchRefusal) {
    if let size = backend.byteCount, size != block.byteCount {
      throw .memorySize(
        idstr: block.idstr, image: block.byteCount, arguments: size,
        option: "-object \(backend.type),id=\(backend.id)")
    }
    if uses.contains(.machine) { try checkMainSize(block) }
  }

  private func checkMainSize(_ block: MappedMemory.Block) throws(LaunchRefusal) {
    if let size = memoryByteCount, size != block.byteCount {
      throw .memorySize(
        idstr: block.idstr, image: block.byteCount, arguments: size, option: "-m")
    }
  }

  /// Maps the main memory of a VM that has no backend for it.
  private mutating func mapMainBlock(
    of memory: MappedMemory, _ uses: [String: [MemoryUse]], _ outcome: inout MappedMemory.Outcome
  ) throws(LaunchRefusal) {
    let isTaken = uses.values.joined().contains { $0 == .machine || $0 == .node }
    guard !isTaken, machineType != "none", let block = memory.mainBlock else { return }
    try checkMainSize(block)
    let properties = memory.properties(of: block, id: block.idstr).map { key, value in
      QEMUProperties.Entry(key: key, value: value.value(isJSON: false))
    }
    append("-object", QEMUProperties(properties, isJSON: false).text)
    append("-machine", QEMUProperties([("memory-backend", block.idstr)]).text)
    outcome.mapped.append(block.idstr)
  }

  private mutating func replace(
    _ backend: BackendArgument, by block: MappedMemory.Block, of memory: MappedMemory,
    _ outcome: inout MappedMemory.Outcome
  ) {
    guard case .option(var option) = arguments[backend.index] else { return }
    let isJSON = backend.properties.isJSON
    let kept = backend.properties.entries.filter { entry in
      ["policy", "merge", "dump", "reserve"].contains(entry.key)
        || entry.key == "host-nodes" || entry.key.hasPrefix("host-nodes.")
    }
    let saysReserve = backend.properties["reserve"] != nil
    let entries = memory.properties(of: block, id: backend.id)
      .filter { !($0.key == "reserve" && saysReserve) }
      .map { QEMUProperties.Entry(key: $0.key, value: $0.value.value(isJSON: isJSON)) }
    option.value = QEMUProperties(entries + kept, isJSON: isJSON).text
    arguments[backend.index] = .option(option)
    outcome.mapped.append(block.idstr)
    if backend.properties["share"] == "on" { outcome.notes.append(.notShared(id: backend.id)) }
    for key in ["mem-path", "hugetlb", "prealloc"] {
      if let value = backend.properties[key], value != "off" {
        outcome.notes.append(.notUsed(option: "\(key)=\(value) of \(backend.id)"))
      }
    }
  }

  /// Takes out what QEMU does not accept beside a backend (`-mem-path`), or what would read the whole image at once.
  private mutating func dropAllocation(_ outcome: inout MappedMemory.Outcome) {
    for name in ["mem-path", "mem-prealloc"] where remove(name) {
      outcome.notes.append(.notUsed(option: "-\(name)"))
    }
  }

  /// A vhost-user process gets the descriptors of the guest's memory, and would map the image instead.
  private func refuseSharing() throws(LaunchRefusal) {
    for device in try devices() where device.driver.hasPrefix("vhost-user") {
      throw .needsSharedMemory(option: "-device \(device.driver)")
    }
    for option in ["netdev", "net", "nic"] {
      for network in properties(of: option, impliedKey: "type") {
        if network["type"] == "vhost-user" {
          throw .needsSharedMemory(option: "-\(option) vhost-user")
        }
      }
    }
  }

  private func noteDevices(_ outcome: inout MappedMemory.Outcome) throws(LaunchRefusal) {
    for device in try devices() where device.driver.hasPrefix("virtio-balloon") {
      outcome.notes.append(.balloonKeepsMemory(driver: device.driver))
    }
    let locks = properties(of: "overcommit", impliedKey: "mem-lock").compactMap { $0["mem-lock"] }
    if locks.last == "on" { outcome.notes.append(.lockedMemory) }
    outcome.notes += values(of: "readconfig").map { .unseen(file: $0) }
  }
}
