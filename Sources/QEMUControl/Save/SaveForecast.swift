import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// What a save of a VM would do.
public struct SaveForecast: Equatable, Sendable {
  /// The engine that `auto` would take; `nil` where none can save the VM now.
  public var engine: VMSave.Engine?
  /// Why the VM cannot be captured; empty if it can.
  public var captureObstacles: [CaptureObstacle]
  /// Why QEMU cannot save it by itself, or why `auto` would not have it; empty if it can.
  public var engineObstacles: [SaveObstacle]
  /// The length of the image up to the device state: most of it holes, if the guest uses little of its RAM. The device state
  /// follows, which is known only once the VM is paused; `nil` where no image can hold the blocks.
  public var byteCountBeforeDevices: UInt64?
  /// The most that all page slots and bitmaps can take of the disk.
  public var diskBytesAtMost: UInt64?
  /// Whether the VM would be resumed with disks that the image then no longer fits.
  public var disksDiverge: Bool
}

extension SaveForecast {
  /// The forecast for `vm`, whose blocks take at most `ramBytesAtMost` bytes of page slots.
  ///
  /// - Parameter memory: what of it QEMU itself had better not read.
  init(
    _ vm: RunningVM, _ choice: CaptureChoice, _ memory: [ImageMemory], ramBytesAtMost: UInt64
  ) {
    captureObstacles = choice.obstacles
    engineObstacles = SaveObstacle.all(of: vm) + memory.map(\.obstacle)
    engine = choice.obstacles.isEmpty ? .capture : engineObstacles.isEmpty ? .qemu : nil
    if let layout = Self.layout(of: vm, engine == .qemu ? .qemu : VMSave.capturedLayout) {
      byteCountBeforeDevices = layout.tail.rawValue
      diskBytesAtMost = ramBytesAtMost + layout.bitmapBytes
    }
    disksDiverge = vm.runState.isLive && !vm.writableDisks.isEmpty
  }

  /// Where the blocks would stand. Pages of other sizes than 4 KiB, which few architectures have, change the bitmaps' lengths alone.
  static func layout(of vm: RunningVM, _ slots: SlotLayout) -> ImageLayout? {
    let platform = GuestPlatform(architecture: vm.target, machineType: vm.machineType)
    let configuration =
      platform?.configuration(machineType: vm.machineType)
      ?? .mappedRAM(machineType: vm.machineType)
    let pageSize = platform?.pageSize ?? .fourKiB
    do throws(FormatError) {
      return try ImageLayout(
        prologue: StreamPrologue(configuration: configuration),
        blocks: vm.blocks.map { (block) throws(FormatError) in
          try RAMBlock(idstr: block.idstr, usedLength: block.usedLength, pageSize: pageSize)
        }, slots: slots)
    } catch {
      return nil
    }
  }
}

extension VMSave {
  /// Looks whether an image of `vm` fits where it is to be, as far as that is known while the VM still runs.
  ///
  /// On a device each page has a place, whether it is written or not; in a file zero pages take no room, and how many there are is known
  /// only once they have been read.
  ///
  /// - Parameter presentBytes: the most that the pages can take, asked only where it matters.
  /// - Returns: a warning where it may not fit.
  /// - Throws: `VMError.noRoom`, or `TargetError.tooSmall` of a device.
  func checkRoom(
    _ vm: RunningVM, presentBytes: () -> UInt64
  ) throws(VMError) -> VMSaveWarning? {
    let slots = layout ?? (engine == .qemu ? .qemu : Self.capturedLayout)
    guard let layout = SaveForecast.layout(of: vm, slots) else { return nil }
    if File.isBlockDevice(image) {
      let found = try ofImage { (file) throws(SystemCallError) in try file.size() }
      guard layout.tail.rawValue <= found else {
        throw .image(.target(.tooSmall(image, found: found, needed: layout.tail.rawValue)))
      }
      return nil
    }
    guard var available = FileSystem.room(at: image) else { return nil }
    if inPlace {
      // What the file has now it gives back first. What is replaced is there until the new image is whole.
      let freed = try ofImage { (file) throws(SystemCallError) in try file.allocatedBytes() }
      available += min(freed, .max - available)
    }
    // Bitmaps are written whole.
    let bitmaps = layout.bitmapBytes
    guard bitmaps <= available else {
      throw .noRoom(image, available: available, neededAtLeast: bitmaps)
    }
    guard bitmaps + vm.ramByteCount.rawValue > available else { return nil }
    let most = bitmaps + presentBytes()
    return most > available
      ? .mayNotFit(image, available: available, neededAtMost: most) : nil
  }

  /// What `body` gives of the file or device that is written where it is.
  private func ofImage(
    _ body: (File) throws(SystemCallError) -> UInt64
  ) throws(VMError) -> UInt64 {
    do throws(SystemCallError) {
      return try body(try File.open(image, access: .read, directIO: .off))
    } catch {
      throw .image(.system(error))
    }
  }
}

extension ImageLayout {
  /// Bytes of all bitmaps.
  var bitmapBytes: UInt64 { blocks.reduce(0) { $0 + ($1.bitmap?.byteCount.rawValue ?? 0) } }
}
