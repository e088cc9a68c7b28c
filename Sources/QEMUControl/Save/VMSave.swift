public import MappedRAM
import MappedRAMFormat
public import SystemPackage

/// Saves a VM into an image, from outside its QEMU.
public struct VMSave: Sendable {
  /// The image.
  public var image: FilePath
  /// Whether an existing file is written where it is, as block devices are.
  public var inPlace = false
  /// What the image may replace. A file that the VM itself uses is never replaced.
  public var replacing = Replacing.images
  /// Whether a VM that libvirt manages is saved too. libvirt does not expect another client to pause it.
  public var allowsLibvirt = false
  /// Who writes the image.
  public var engine = Engine.auto
  /// What becomes of the VM.
  public var afterwards = Ending.asBefore
  /// How the VM is saved while it runs; `nil` for a VM that stands still from the beginning. One that is paused is saved as it is.
  public var live: LiveOptions?
  /// Where external snapshots of the disks go, if there are to be any.
  public var snapshotDirectory: FilePath?
  /// Devices whose states are saved beside the VM's RAM while it stands still. By capture only: QEMU's own save leaves them out.
  public var devices: [DeviceSource] = []
  /// How long the VM may be paused, at most: when it is over, the watchdog resumes it, and the save fails. `nil` for a time that only a
  /// save in which something hangs needs: a minute, a second more for each 25 MiB of RAM, and half a minute in which nothing moves.
  public var maximumDowntime: Duration?
  /// The program that takes the way back if this process ends in the middle of the save, or hangs: `mapped-ram`, found in PATH, or one that
  /// calls `VMWatchdog.run` when its only argument is `VMWatchdog.verb`. Without such a program there is no watchdog, and a warning
  /// says so.
  public var watchdogProgram = "mapped-ram"
  /// How the channels work.
  public var options: ChannelOptions
  /// QEMU's process where it is not the one that listens at the socket.
  public var processID: Int32?

  /// Who writes the image.
  public enum Engine: String, CaseIterable, Sendable {
    /// Capture where it is possible and permitted, else QEMU.
    case auto
    /// We read the guest's memory from outside, while the VM is paused.
    case capture
    /// QEMU writes the file by itself, with mapped-ram, multifd and direct-io.
    case qemu
  }

  /// A save into `image`.
  public init(to image: FilePath, options: ChannelOptions = .standard) {
    self.image = image
    self.options = options
  }
}
