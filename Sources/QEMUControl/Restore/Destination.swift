import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP

/// A waiting VM that fits an image, and the ways of the image into it.
struct Destination {
  let source: RestoreSource
  let vm: RunningVM
  let connection: QMPConnection
  let options: ChannelOptions
  let devices: [DeviceIdentity: any DeviceStateTarget]

  typealias BlockArrival = VMRestoreReport.BlockArrival

  /// Blocks of fewer bytes go through the stream: tables and small ROMs, some of which QEMU resizes there.
  static let smallestPlaced: UInt64 = 1 << 20

  /// Gives QEMU a descriptor of the image with a shared lock on it, which it keeps until it ends: nobody who asks for a lock writes
  /// into the image meanwhile. Where `body` fails, a QEMU that goes on waiting does not keep it.
  ///
  /// - Throws: EWOULDBLOCK where somebody is writing into it now; the error of `body`.
  func holdingImage<Value>(_ body: () throws(VMError) -> Value) throws(VMError) -> Value {
    try lockImage()
    do throws(VMError) {
      return try body()
    } catch {
      // One that has ended keeps nothing.
      try? connection.execute(.closeDescriptor(Self.descriptorName))
      throw error
    }
  }

  /// The name under which QEMU keeps the image's descriptor.
  private static let descriptorName = "mapped-ram-image"

  private func lockImage() throws(VMError) {
    let descriptor = try moving { () throws(ImageError) in
      try calling { () throws(SystemCallError) in
        try source.file.openAgain(for: .reading, direct: false)
      }
    }
    try system { () throws(SystemCallError) in
      try File.lock(descriptor, .shared, path: source.file.path)
    }
    try talking { () throws(QMPError) in
      try connection.execute(.keepDescriptor(descriptor.rawValue, as: Self.descriptorName))
    }
  }

  private var isMappedRAM: Bool { source.image.prologue?.configuration.isMappedRAM ?? true }

  /// Fails where QEMU cannot load such an image.
  func checkLoads() throws(VMError) {
    guard !isMappedRAM || vm.capabilities[Configuration.mappedRAMCapability] != nil else {
      throw .tooOld(vm.version)
    }
  }

  /// Lets QEMU load the image by itself.
  func load(_ progress: Progress, _ cancellation: Cancellation) throws(VMError) -> [BlockArrival] {
    let file = source.file
    try load(
      file, direct: file.isDirect, offset: source.image.streamOffset.rawValue,
      capabilities: isMappedRAM ? [Configuration.mappedRAMCapability, "multifd"] : [],
      parameters: FileMigration.loadingParameters(direct: file.isDirect), progress, cancellation)
    return source.image.blocks.map { arrival($0.block, .loaded) }
  }

  /// Gives devices their states, and nothing else to anybody.
  func loadDevices(
    _ progress: Progress, _ cancellation: Cancellation
  ) throws(VMError) -> TransferReport? {
    guard !devices.isEmpty else { return nil }
    return try moving { () throws(ImageError) in
      try ImageRestore(
        source.file, streamOffset: source.image.streamOffset, options: options
      ).run(
        progress: progress, cancellation: cancellation, device: { devices[$0.identity] },
        target: { _ in nil })
    }.report
  }

  /// Puts what is not `mapped` in place, by our channels or in the stream, and then lets QEMU load the rest.
  func place(
    in memory: GuestMemory, mapped: Set<String>, _ progress: Progress,
    _ cancellation: Cancellation
  ) throws(VMError) -> ([BlockArrival], TransferReport?) {
    let placed = placedBlocks(besides: mapped)
    var transfer: TransferReport?
    if !placed.isEmpty || !devices.isEmpty {
      let targets = try system { () throws(SystemCallError) in
        try memory.targets(for: placed)
      }
      transfer = try moving { () throws(ImageError) in
        try ImageRestore(
          source.file, streamOffset: source.image.streamOffset, options: options
        ).run(
          progress: progress, cancellation: cancellation, device: { devices[$0.identity] },
          target: { targets[$0.idstr] })
      }.report
    }
    let carried = Set(source.image.blocks.map(\.idstr)).subtracting(placed)
      .subtracting(mapped)
    try loadStream(carrying: carried, cancellation)
    let arrivals = source.image.blocks.map { block in
      let idstr = block.idstr
      return arrival(
        block.block,
        mapped.contains(idstr) ? .mapped : placed.contains(idstr) ? .placed : .stream)
    }
    return (arrivals, transfer)
  }

  /// The blocks that the VM has mapped from the image, each at its place.
  ///
  /// - Throws: `cannotMap` where there is none: QEMU must have been started so.
  func mappedBlocks(of memory: GuestMemory) throws(VMError) -> Set<String> {
    let inode = try system { () throws(SystemCallError) in try source.file.mappedIdentity() }
    var mapped: Set<String> = []
    for block in source.image.blocks {
      guard let pages = block.layout.pages,
        case .privateFile(inode, let offset, _)? = memory.backing(of: block.idstr),
        offset == pages.lowerBound.rawValue
      else { continue }
      mapped.insert(block.idstr)
    }
    guard mapped.isEmpty else { return mapped }
    throw .cannotMap(.notMapped(source.file.path))
  }

  /// The stale slots of mapped blocks. An image of a save of ours that has written zeros between pages says that they are: there may be as
  /// many of them as pages.
  ///
  /// - Throws: `MapObstacle.staleSlots` where they have more than `limit` bytes.
  func staleSlots(
    of mapped: Set<String>, limit: UInt64, _ cancellation: Cancellation
  ) throws(VMError) -> [String: PageBitmap] {
    if source.image.statesZeroSlots, source.file.kind == .regular { return [:] }
    let blocks = source.image.blocks.filter { mapped.contains($0.idstr) }
    let stale = try moving { () throws(ImageError) in
      try StaleSlots.find(in: blocks, of: source.file, cancellation: cancellation)
    }
    let byteCount = stale.remaining.values.reduce(0) { $0 + UInt64($1.population) << pageShift }
    guard byteCount <= limit else {
      throw .cannotMap(.staleSlots(source.file.path, found: byteCount, limit: limit))
    }
    return stale.remaining
  }

  private var pageShift: UInt64 { UInt64(source.image.blocks.first?.block.pageSize.shift ?? 0) }

  /// Puts zeros over stale slots in the VM's memory, which is a private mapping: the image stays as it is.
  func clear(_ stale: [String: PageBitmap], in memory: GuestMemory) throws(VMError) {
    let shift = pageShift
    for (idstr, pages) in stale {
      for run in pages.runs {
        let bytes = UInt64(run.lowerBound) << shift..<UInt64(run.upperBound) << shift
        try system { () throws(SystemCallError) in try memory.clear(bytes, of: idstr) }
      }
    }
  }

  /// The blocks that our channels put in place: those of fixed size that are not small.
  private func placedBlocks(besides mapped: Set<String>) -> Set<String> {
    var placed: Set<String> = []
    for block in source.image.blocks where block.layout.pages != nil {
      let idstr = block.idstr
      guard !mapped.contains(idstr), block.usedLength.rawValue >= Self.smallestPlaced,
        let target = vm.blocks.first(where: { $0.idstr == idstr }),
        target.usedLength == target.maxLength
      else { continue }
      placed.insert(idstr)
    }
    return placed
  }

  /// Hands QEMU a plain stream with the device state and the pages of `carried`.
  private func loadStream(
    carrying carried: Set<String>, _ cancellation: Cancellation
  ) throws(VMError) {
    let stream = try moving { () throws(ImageError) in
      try IncomingStream(source.image, in: source.file, carrying: carried)
    }
    let file = try system { () throws(SystemCallError) in
      try File.inMemory(name: "incoming stream", byteCount: 0)
    }
    _ = try moving { () throws(ImageError) in
      try stream.write(to: file, cancellation: cancellation)
    }
    try load(
      file, direct: false, offset: 0, capabilities: stream.configuration.capabilities,
      parameters: [:], Progress(), cancellation)
  }

  private func load(
    _ file: File, direct: Bool, offset: UInt64, capabilities: [String],
    parameters: [String: JSONValue], _ progress: Progress, _ cancellation: Cancellation
  ) throws(VMError) {
    var settings = MigrationSettings(of: vm)
    settings.plan(capabilities: capabilities, parameters: parameters)
    try talking { () throws(QMPError) in try settings.apply(on: connection) }
    let set = try DescriptorSet(file, for: .reading, direct: direct, to: connection)
    defer { set.remove() }
    do throws(VMError) {
      // Whatever the file is that QEMU loads: the user has given the image.
      try FileMigration(connection: connection, path: source.file.path).load(
        from: "file:\(set.path)" + (offset == 0 ? "" : ",offset=\(offset)"), progress,
        cancellation)
    } catch .migrationFailed(let path, let reason, _) {
      throw .migrationFailed(path, reason: reason, hints: [.standardError])
    }
    try talking { () throws(QMPError) in try settings.restore(on: connection) }
  }

  private func arrival(_ block: RAMBlock, _ way: VMRestoreReport.Way) -> BlockArrival {
    BlockArrival(idstr: block.idstr, byteCount: block.usedLength.rawValue, way: way)
  }
}
