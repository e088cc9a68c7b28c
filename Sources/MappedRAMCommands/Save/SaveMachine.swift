public import ArgumentParser
import LinuxIO
public import QEMUControl
import SystemPackage

extension VMSave.Engine: ExpressibleByArgument {}
extension VMSave.Afterwards: ExpressibleByArgument {}

/// The options of `mapped-ram save` that are about a running VM.
struct SaveMachine: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Save the VM whose QEMU listens for QMP at this unix socket.", valueName: "socket"),
    completion: .file(), transform: { FilePath($0) })
  var qmp: FilePath?

  @Option(
    help: """
      Who writes the image. capture: this command reads the guest's memory from outside. qemu: QEMU writes the file, which \
      cannot be a block device. auto: capture where that is possible and permitted, else qemu.
      """)
  var engine: VMSave.Engine?

  @Option(
    help:
      "What becomes of the VM after the save. (default: it goes on if it ran, and stays paused if it was)"
  )
  var then: VMSave.Afterwards?

  @Option(
    help: ArgumentHelp(
      """
      Before the VM goes on, take external snapshots of all its writable disks, with new files in this directory: the \
      disk files that it used until then belong to the image and are not written any more.
      """, valueName: "directory"),
    completion: .directory, transform: { FilePath($0) })
  var snapshotDisks: FilePath?

  @Option(
    help: ArgumentHelp(
      "QEMU's process, where it is not the one that QMP leads to.", valueName: "number"))
  var pid: Int32?

  @Flag(
    help: """
      Save a VM that libvirt manages, too. libvirt then sees another client pause it and let it go on. (By default such a VM \
      is refused: virsh save is for it.)
      """)
  var managedByLibvirt = false

  /// The options that are given and belong to running VMs.
  var given: [String] {
    [
      ("--qmp", qmp != nil), ("--engine", engine != nil), ("--then", then != nil),
      ("--snapshot-disks", snapshotDisks != nil), ("--pid", pid != nil),
      ("--managed-by-libvirt", managedByLibvirt),
    ].filter(\.1).map(\.0)
  }

  func validate() throws {
    if qmp == nil, let option = given.first {
      throw ValidationError(
        "\(option) is for a running VM: give the socket of its QEMU's QMP with --qmp as well.")
    }
    if snapshotDisks != nil, then == .quit {
      throw ValidationError(
        "--snapshot-disks is for a VM that goes on; with --then quit nothing writes to the disks any more."
      )
    }
  }
}
