import LinuxIO
package import LinuxProcesses
import MappedRAMFormat
package import QMP

/// A VM that runs, looked at from outside: what it is made of, and what a save of it would do.
///
/// Looking changes nothing: the VM is not stopped, and its settings stay. What is found holds for that moment alone: a
/// guest that runs touches more pages, and devices come and go.
public struct VMInspection: Equatable, Sendable {
  /// What QEMU says.
  public var vm: RunningVM
  /// QEMU's process; `nil` where it cannot be seen from here.
  public var processID: Int32?
  /// The blocks that an image holds, in the order of a stream.
  public var memory: [Block]
  /// Disks whose files have no names any more: what is in them is lost when QEMU ends.
  public var unlinkedDisks: [Disk]
  /// What a save would do.
  public var save: SaveForecast

  /// The memory of a RAMBlock.
  public struct Block: Equatable, Sendable {
    /// The block, as QEMU has it.
    public var block: GuestBlock
    /// The memory backend that it is made of; `nil` for memory that is QEMU's own, such as a ROM.
    public var backend: MemoryBackend?
    /// What stands behind QEMU's mapping of it; `nil` where the process may not be looked at.
    package var backing: MemoryBacking?
    /// How a capture would read it; likewise.
    public var route: BlockMemory.Route?
    /// Bytes of it that are in memory, in swap or in its file; `nil` where that cannot be had. The rest was never touched, or was
    /// given back.
    public var presentBytes: UInt64?
    /// The most that an image can need for its pages.
    public var savedBytesAtMost: UInt64

    /// A block of its parts.
    package init(
      _ block: GuestBlock, backend: MemoryBackend? = nil, backing: MemoryBacking? = nil,
      route: BlockMemory.Route? = nil, presentBytes: UInt64? = nil,
      savedBytesAtMost: UInt64? = nil
    ) {
      self.block = block
      self.backend = backend
      self.backing = backing
      self.route = route
      self.presentBytes = presentBytes
      self.savedBytesAtMost = savedBytesAtMost ?? block.usedLength.rawValue
    }

    /// Whether its memory is made of huge pages.
    public var isHuge: Bool { block.pageBytes > PageMap.pageBytes }
  }
}

extension VMInspection {
  /// Looks at the VM behind `connection`: some 30 short commands, the process's memory map, and for each page of
  /// private memory eight bytes of its page map.
  ///
  /// - Parameter processID: QEMU's process, where it is not the one that listens at the socket.
  /// - Throws: `VMError.qmp`. That the process may not be looked at is no failure; `save` says so.
  public init(of connection: QMPConnection, processID: Int32? = nil) throws(VMError) {
    self.init(try RunningVM(lookingThrough: connection), processID: processID)
  }

  /// Looks at the process of `vm`, of which QEMU has told.
  init(_ vm: RunningVM, processID: Int32?) {
    let access = GuestMemory.access(to: vm, processID: processID)
    self.vm = vm
    switch access {
    case .success(let found): self.processID = found.processID
    case .failure(let obstacle):
      // The processors' threads are QEMU's, also where no more can be seen of it.
      self.processID = obstacle.isMissingPermission ? processID ?? vm.possibleProcesses.first : nil
    }
    memory = Self.memory(of: vm, access)
    let places = DiskPlaces(of: vm, processID: self.processID)
    unlinkedDisks = vm.disks.filter { places.isUnlinked($0) }
    save = SaveForecast(
      vm, CaptureChoice(vm, memory: access), ImageMemory.all(of: vm, access),
      ramBytesAtMost: memory.reduce(0) { $0 + $1.savedBytesAtMost })
  }

  /// The blocks of `vm`, as far as they can be seen.
  static func memory(
    of vm: RunningVM, _ access: Result<GuestMemory, CaptureObstacle>
  ) -> [Block] {
    switch access {
    case .success(let found): found.inspected { vm.backend(of: $0) }
    case .failure: vm.blocks.map { Block($0, backend: vm.backend(of: $0)) }
    }
  }
}

extension GuestMemory {
  /// Each block with what stands behind it and how much of it there is.
  func inspected(
    backend: (GuestBlock) -> MemoryBackend?
  ) -> [VMInspection.Block] {
    zip(places, blocks).map { place, memory in
      let present = presentBytes(of: place)
      let length = place.block.usedLength.rawValue
      return VMInspection.Block(
        place.block, backend: backend(place.block), backing: place.backing, route: memory.route,
        presentBytes: present,
        savedBytesAtMost: absentIsZero(place, memory.route) ? present ?? length : length)
    }
  }

  /// Whether a save does not even look at what is absent. Of huge pages it looks at all, and of a private mapping of a file that it cannot
  /// read.
  private func absentIsZero(_ place: Place, _ route: BlockMemory.Route) -> Bool {
    switch route {
    case .file: !place.hasHugePages
    case .process: place.backing == .anonymous || place.original != nil && pageMap != nil
    }
  }

  /// Bytes of the block that are in memory, in swap or in the file that it is of.
  private func presentBytes(of place: Place) -> UInt64? {
    var count: UInt64 = 0
    do {
      // The holes of a file of huge pages are not found.
      if !place.hasHugePages, let found = place.file {
        let range = found.offset..<(found.offset + place.block.usedLength.rawValue)
        try found.file.forEachData(in: range) { count += UInt64($0.count) }
        return count
      }
      if let pages = originalPages(of: place) {
        var rest = 0..<pages.byteCount
        while let run = try pages.nextData(in: rest) {
          count += UInt64(run.count)
          rest = run.upperBound..<rest.upperBound
        }
        return count
      }
      guard let pageMap else { return nil }
      var rest = place.addresses
      while !rest.isEmpty, let run = try pageMap.nextPresent(in: rest) {
        count += UInt64(run.count)
        rest = run.upperBound..<rest.upperBound
      }
      return count
    } catch {
      return nil
    }
  }
}
