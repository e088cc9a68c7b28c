import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP

/// The engine that was chosen, with what it needs.
enum ChosenEngine {
  /// QEMU loads the RAM by itself; its memory, where that can be got at.
  case qemu(GuestMemory?)
  /// Our channels write it.
  case place(GuestMemory)
  /// The guest runs on the image.
  case map(GuestMemory)

  /// Its name.
  var name: VMRestore.Engine {
    switch self {
    case .qemu: .qemu
    case .place: .place
    case .map: .map
    }
  }
}

/// A waiting VM that fits an image, and how each engine puts the image into it.
struct RestoreJob {
  let source: RestoreSource
  let vm: RunningVM
  let session: VMSession
  let options: ChannelOptions
  let devices: [DeviceIdentity: any DeviceStateTarget]
  /// What QEMU has from its start; `nil` for one that waited.
  var inherited: InheritedFiles?

  typealias BlockArrival = VMRestoreReport.BlockArrival

  /// What the VM has mapped from the image.
  struct MappedBlocks {
    /// The blocks.
    var blocks: Set<String> = []
    /// Their stale slots.
    var stale: [String: PageBitmap] = [:]
  }

  /// Blocks of fewer bytes go through the stream: tables and small ROMs, some of which QEMU resizes there.
  static let smallestPlaced: UInt64 = 1 << 20

  // MARK: Refuse

  /// Looks whether the engine can do it, and has the image stay as it is where it must: for `map`, QEMU gets a descriptor with a lock.
  /// Nothing else about the VM is changed.
  ///
  /// - Parameter limit: the most bytes of stale slots that zeros are put over.
  func check(
    _ engine: ChosenEngine, clearing limit: UInt64, _ cancellation: Cancellation
  ) throws(VMError) -> MappedBlocks {
    switch engine {
    case .qemu:
      guard !isMappedRAM || vm.capabilities[Configuration.mappedRAMCapability] != nil else {
        throw .tooOld(vm.version)
      }
      return MappedBlocks()
    case .place: return MappedBlocks()
    case .map(let memory):
      let mapped = try mappedBlocks(of: memory)
      if inherited == nil { try lockImage() }
      return MappedBlocks(
        blocks: mapped, stale: try staleSlots(of: mapped, limit: limit, cancellation))
    }
  }

  /// The name under which QEMU keeps the image's descriptor.
  private static let descriptorName = "mapped-ram-image"

  /// Gives QEMU a descriptor of the image with a shared lock on it, which it keeps until it ends: no program that asks for a lock writes
  /// into the image meanwhile.
  ///
  /// - Throws: EWOULDBLOCK where a program is writing into it now.
  private func lockImage() throws(VMError) {
    let descriptor: OwnedDescriptor
    do throws(SystemCallError) {
      descriptor = try source.sharedLock()
    } catch {
      throw .system(error)
    }
    try session.execute(.getDescriptor(descriptor.rawValue, named: Self.descriptorName))
  }

  /// Leaves a VM that did not get the image: what it was handed is taken back from a QEMU that keeps waiting.
  func leave(_ engine: ChosenEngine) {
    session.takeBackFile()
    // What cannot be set back cannot be helped here: the restore has failed, and says why.
    try? session.tidyUp()
    // One that has ended keeps nothing; and it may never have had it.
    if case .map = engine, inherited == nil {
      try? session.execute(.closeDescriptor(named: Self.descriptorName))
    }
  }

  private var isMappedRAM: Bool { source.image.prologue?.configuration.isMappedRAM ?? true }

  /// Compares the image's contents with its sums: all of them where QEMU loads or maps them, and all but what our channels put in place,
  /// which they compare as they read it.
  ///
  /// - Returns: the sums that are left to compare.
  func verify(
    _ engine: ChosenEngine, _ mapping: MappedBlocks, _ progress: TransferProgress,
    _ cancellation: Cancellation
  ) throws(VMError) -> SumsArea? {
    var blocks = Set(source.image.blocks.map(\.idstr))
    switch engine {
    case .qemu: break
    case .place, .map: blocks.subtract(placedBlocks(besides: mapping.blocks))
    }
    do throws(ImageError) {
      let found = try imageRestore.checkBesidesPages(of: blocks, progress, cancellation)
      try found.checkContents()
      return found.sums
    } catch {
      throw .image(error)
    }
  }

  // MARK: Work

  private var imageRestore: ImageRestore {
    ImageRestore(source.file, streamOffset: source.image.streamOffset, options: options)
  }

  /// Puts the image into the VM.
  ///
  /// - Parameter sums: what pages are compared with as our channels read them; `nil` where they are not.
  func putImage(
    _ engine: ChosenEngine, _ mapping: MappedBlocks, comparingWith sums: SumsArea?,
    _ progress: TransferProgress, _ cancellation: Cancellation
  ) throws(VMError) -> ([BlockArrival], TransferReport?) {
    switch engine {
    case .qemu(let memory):
      try memory?.clearOldContents()
      return (
        try loadByQEMU(progress, cancellation),
        devices.isEmpty ? nil : try restore(to: [:], sums, progress, cancellation)
      )
    case .place(let memory), .map(let memory):
      try clear(mapping.stale, in: memory)
      return try place(in: memory, mapped: mapping.blocks, sums, progress, cancellation)
    }
  }

  /// Lets QEMU load the image by itself.
  private func loadByQEMU(
    _ progress: TransferProgress, _ cancellation: Cancellation
  ) throws(VMError) -> [BlockArrival] {
    let file = source.file
    // One file at a time.
    session.takeBackFile()
    try load(
      try session.lend(file, for: .reading, direct: file.directIO.isActive),
      offset: source.image.streamOffset.rawValue,
      capabilities: isMappedRAM ? [Configuration.mappedRAMCapability, "multifd"] : [],
      parameters: FileMigration.loadingParameters(direct: file.directIO.isActive), progress,
      cancellation)
    return source.image.blocks.map { arrival($0.block, .loaded) }
  }

  /// Gives devices their states, and blocks their contents.
  private func restore(
    to targets: [String: any PageTarget], _ sums: SumsArea?, _ progress: TransferProgress,
    _ cancellation: Cancellation
  ) throws(VMError) -> TransferReport {
    var restore = imageRestore
    restore.sums = sums
    do throws(ImageError) {
      return try restore.run(
        progress: progress, cancellation: cancellation, device: { devices[$0.identity] },
        target: { targets[$0.idstr] }
      ).report
    } catch {
      throw .image(error)
    }
  }

  /// Puts what is not `mapped` in place, by our channels or in the stream, and then lets QEMU load the rest.
  private func place(
    in memory: GuestMemory, mapped: Set<String>, _ sums: SumsArea?, _ progress: TransferProgress,
    _ cancellation: Cancellation
  ) throws(VMError) -> ([BlockArrival], TransferReport?) {
    let placed = placedBlocks(besides: mapped)
    var transfer: TransferReport?
    if !placed.isEmpty || !devices.isEmpty {
      transfer = try restore(
        to: try memory.targets(for: placed), sums, progress, cancellation)
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
  private func mappedBlocks(of memory: GuestMemory) throws(VMError) -> Set<String> {
    let inode: MappedFileIdentity
    do throws(SystemCallError) {
      inode = try source.file.mappedIdentity()
    } catch {
      throw .system(error)
    }
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
  private func staleSlots(
    of mapped: Set<String>, limit: UInt64, _ cancellation: Cancellation
  ) throws(VMError) -> [String: PageBitmap] {
    if source.image.statesZeroSlots, source.file.kind == .regular { return [:] }
    let blocks = source.image.blocks.filter { mapped.contains($0.idstr) }
    let stale: StaleSlots
    do throws(ImageError) {
      stale = try StaleSlots.find(in: blocks, of: source.file, cancellation: cancellation)
    } catch {
      throw .image(error)
    }
    let byteCount = stale.remaining.values.reduce(0) { $0 + UInt64($1.population) << pageShift }
    guard byteCount <= limit else {
      throw .cannotMap(.staleSlots(source.file.path, found: byteCount, limit: limit))
    }
    return stale.remaining
  }

  private var pageShift: UInt64 { UInt64(source.image.blocks.first?.block.pageSize.shift ?? 0) }

  /// Puts zeros over stale slots in the VM's memory, which is a private mapping: the image stays as it is.
  private func clear(_ stale: [String: PageBitmap], in memory: GuestMemory) throws(VMError) {
    let shift = pageShift
    for (idstr, pages) in stale {
      for run in pages.runs {
        let bytes = UInt64(run.lowerBound) << shift..<UInt64(run.upperBound) << shift
        try memory.clear(bytes, of: idstr)
      }
    }
  }

  /// The blocks whose pages will be in the stream, as far as that can be known before QEMU tells of its blocks.
  static func expectedInStream(of image: Image, mapped: Set<String>) -> Set<String> {
    Set(
      image.blocks.filter { $0.usedLength.rawValue < smallestPlaced }.map(\.idstr)
    ).subtracting(mapped)
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
    if let inherited {
      let capabilities = try asVMError { () throws(ImageError) in
        try inherited.write(source, carrying: carried, cancellation)
      }
      return try load(
        inherited.path, capabilities: capabilities, parameters: [:], TransferProgress(),
        cancellation)
    }
    let file: File
    do throws(SystemCallError) {
      file = try File.inMemory(name: "incoming stream", byteCount: 0)
    } catch {
      throw .system(error)
    }
    let capabilities = try asVMError { () throws(ImageError) in
      try source.writeStream(to: file, carrying: carried, cancellation)
    }
    try load(
      try session.lend(file, for: .reading), capabilities: capabilities, parameters: [:],
      TransferProgress(), cancellation)
  }

  private func asVMError<Value>(
    _ body: () throws(ImageError) -> Value
  ) throws(VMError) -> Value {
    do throws(ImageError) {
      return try body()
    } catch {
      throw .image(error)
    }
  }

  /// Lets QEMU load the file that it has as `path`, which is taken back at the end: QEMU closes it in its own time.
  private func load(
    _ path: String, offset: UInt64 = 0, capabilities: [String], parameters: [String: JSONValue],
    _ progress: TransferProgress, _ cancellation: Cancellation
  ) throws(VMError) {
    let settings = ChangedSettings(of: vm, capabilities: capabilities, parameters: parameters)
    if !settings.isEmpty { try session.apply(settings) }
    // Whatever the file is that QEMU loads: the user has given the image.
    try FileMigration(session: session, path: source.file.path).load(
      from: "file:\(path)" + (offset == 0 ? "" : ",offset=\(offset)"), progress, cancellation)
    guard !settings.isEmpty else { return }
    session.takeBackFile()
    try session.tidyUp()
  }

  private func arrival(_ block: RAMBlock, _ way: VMRestoreReport.Way) -> BlockArrival {
    BlockArrival(idstr: block.idstr, byteCount: block.usedLength.rawValue, way: way)
  }
}
