public import LinuxIO
public import MappedRAM
public import MappedRAMFormat
public import SystemPackage

/// Puts an image into a QEMU that waits for it (`-incoming defer`).
public struct VMRestore: Sendable {
  /// Who puts the RAM in place.
  public var engine = Engine.auto
  /// What becomes of the VM; as it was before is as it was when it was saved.
  public var afterwards = Ending.asBefore
  /// How the channels work.
  public var options: ChannelOptions
  /// QEMU's process where it is not the one that listens at the socket.
  public var processID: Int32?
  /// The process that is QEMU or has started it; `nil` for a QEMU that was there before.
  var startedProcess: Int32?
  /// What gets the states of devices that stand behind the image's stream, before the VM goes on.
  public var devices: [DeviceIdentity: any DeviceStateTarget] = [:]

  /// Who puts the RAM in place.
  public enum Engine: String, CaseIterable, Sendable {
    /// Place where it is permitted, else QEMU.
    case auto
    /// Nobody: the guest runs on the image itself, copy-on-write.
    case map
    /// Our channels write into the waiting QEMU's memory.
    case place
    /// QEMU loads by itself, with mapped-ram, multifd and direct-io.
    case qemu
  }

  /// Stale slots that `map` puts zeros over, in bytes: the VM gets memory of its own for them. An image with more is refused.
  ///
  /// 1 GiB, which takes about a second.
  public var clearedBytesLimit: UInt64 = 1 << 30

  /// A restore.
  public init(options: ChannelOptions = .standard) {
    self.options = options
  }
}

/// An image that has been read and found whole.
public struct RestoreSource: Sendable {
  /// The file.
  public let file: File
  /// Its structures.
  public let image: Image
  /// What the VM did when it was saved; `nil` where the image does not say.
  public let runState: RunState?

  /// Reads the image at `path`.
  ///
  /// - Parameters:
  ///   - streamOffset: where the stream begins; `nil` where the container says, or at 0.
  ///   - cancellation: ends the reading.
  /// - Throws: `ImageError`: the image's first problem, if it has one.
  public init(
    _ path: FilePath, streamOffset: FileOffset? = nil, directIO: DirectIOPolicy = .auto,
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) {
    file = try ImageFile(opening: path, directIO: directIO).file
    image = try Image(
      reading: file, streamOffset: streamOffset, cancellation: cancellation)
    if let problem = image.problems.first { throw .format(problem, in: path) }
    runState = try image.runState(in: file)
  }

  /// Whether the VM ran when it was saved. libvirt stops it before, and keeps in its own header what it did.
  public var wasRunning: Bool { stateBefore.isLive }

  /// What the VM was doing before it was saved; `paused` where nobody says.
  var stateBefore: RunState {
    guard case .libvirt(let container) = image.container else { return runState ?? .paused }
    return container.header.wasRunning ? .running : .paused
  }
}

/// What the restore of a VM did.
public struct VMRestoreReport: Equatable, Sendable {
  /// Who put the RAM in place.
  public var engine: VMRestore.Engine
  /// Why this engine was taken, where the choice was left to us and it is not the faster one.
  public var engineReasons: [CaptureObstacle]
  /// How each block came into the VM.
  public var blocks: [BlockArrival]
  /// The VM's state now, as `query-status` names it.
  public var state: String
  /// QEMU's process, where it has been found, or else the one that was started or given.
  public var processID: Int32?
  /// From the first look at the VM to its going on.
  public var elapsed: Duration
  /// What our channels did; `nil` where they had nothing to do.
  public var transfer: TransferReport?

  /// How a block came into the VM.
  public struct BlockArrival: Equatable, Sendable {
    /// The block's name.
    public var idstr: String
    /// Its used length.
    public var byteCount: UInt64
    /// The way.
    public var way: Way
  }

  /// The ways of a block into a VM.
  public enum Way: String, Equatable, Sendable {
    /// The VM has it mapped from the image.
    case mapped
    /// Our channels put it in place.
    case placed
    /// In the migration stream.
    case stream
    /// QEMU loaded it from its slots.
    case loaded
  }
}
