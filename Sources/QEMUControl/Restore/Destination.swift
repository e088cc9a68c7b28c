import LinuxIO
import MappedRAM
import MappedRAMFormat

/// A waiting VM that fits an image, and the ways of the image into it.
struct Destination {
  let source: RestoreSource
  let vm: RunningVM
  let connection: QMPConnection
  let options: ChannelOptions

  typealias BlockArrival = VMRestoreReport.BlockArrival

  /// Blocks of fewer bytes go through the stream: tables and small ROMs, some of which QEMU resizes there.
  static let smallestPlaced: UInt64 = 1 << 20

  /// Lets QEMU load the image by itself.
  func load(_ progress: Progress, _ cancellation: Cancellation) throws(VMError) -> [BlockArrival] {
    let file = source.file
    let isMapped = source.image.prologue?.configuration.isMappedRAM ?? true
    let buffered = try reading(file, direct: false)
    var descriptors = [buffered.rawValue]
    let direct = QEMUSave.canBeDirect(file) ? try reading(file, direct: true) : nil
    if let number = direct?.rawValue { descriptors.append(number) }
    let offset = source.image.streamOffset.rawValue
    try load(
      descriptors, offset: offset,
      capabilities: isMapped ? [Configuration.mappedRAMCapability, "multifd"] : [],
      parameters: QEMUSave.parameters(direct: direct != nil), progress, cancellation)
    return source.image.blocks.map { arrival($0.block, .loaded) }
  }

  /// Puts what is not `mapped` in place, by our channels or in the stream, and then lets QEMU load the rest.
  func place(
    in memory: GuestMemory, mapped: Set<String>, _ progress: Progress,
    _ cancellation: Cancellation
  ) throws(VMError) -> ([BlockArrival], TransferReport?) {
    let placed = placedBlocks(besides: mapped)
    var transfer: TransferReport?
    if !placed.isEmpty {
      let targets = memory.targets(for: placed)
      transfer = try moving { () throws(ImageError) in
        try ImageRestore(
          source.file, streamOffset: source.image.streamOffset, options: options
        ).run(progress: progress, cancellation: cancellation) { targets[$0.block.idstr] }
      }.report
    }
    let carried = Set(source.image.blocks.map(\.block.idstr)).subtracting(placed)
      .subtracting(mapped)
    try loadStream(carrying: carried, cancellation)
    let arrivals = source.image.blocks.map { block in
      let idstr = block.block.idstr
      return arrival(
        block.block,
        mapped.contains(idstr) ? .mapped : placed.contains(idstr) ? .placed : .stream)
    }
    return (arrivals, transfer)
  }

  /// The blocks that our channels put in place: those of fixed size that are not small.
  private func placedBlocks(besides mapped: Set<String>) -> Set<String> {
    var placed: Set<String> = []
    for block in source.image.blocks where block.layout.pages != nil {
      let idstr = block.block.idstr
      guard !mapped.contains(idstr), block.block.usedLength.rawValue >= Self.smallestPlaced,
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
    let descriptor = try reading(file, direct: false)
    try load(
      [descriptor.rawValue], offset: 0, capabilities: stream.configuration.capabilities,
      parameters: [:], Progress(), cancellation)
  }

  private func load(
    _ descriptors: [CInt], offset: UInt64, capabilities: [String],
    parameters: [String: JSONValue], _ progress: Progress, _ cancellation: Cancellation
  ) throws(VMError) {
    let settings = try talking { () throws(QMPError) in
      var settings = try MigrationSettings(of: connection)
      try settings.set(capabilities: capabilities, parameters: parameters, on: connection)
      return settings
    }
    let set = try talking { () throws(QMPError) in
      try DescriptorSet(descriptors, to: connection)
    }
    defer { set.remove() }
    try FileMigration(connection: connection).load(
      from: "file:\(set.path)" + (offset == 0 ? "" : ",offset=\(offset)"), progress,
      cancellation)
    try talking { () throws(QMPError) in try settings.restore(on: connection) }
  }

  private func reading(_ file: File, direct: Bool) throws(VMError) -> OwnedDescriptor {
    do throws(FileError) {
      return try file.openAgain(for: .reading, direct: direct)
    } catch {
      throw .image(.file(error))
    }
  }

  private func arrival(_ block: RAMBlock, _ way: VMRestoreReport.Way) -> BlockArrival {
    BlockArrival(idstr: block.idstr, byteCount: block.usedLength.rawValue, way: way)
  }
}
