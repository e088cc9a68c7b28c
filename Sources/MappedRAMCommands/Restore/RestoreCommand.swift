public import ArgumentParser
import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
public import QEMUControl
import SystemPackage

extension VMRestore.Engine: ExpressibleByArgument {}

/// The words of `--then`.
enum AfterRestore: String, CaseIterable, ExpressibleByArgument {
  case resume, pause

  var ending: Ending { self == .resume ? .resume : .pause }
}

/// `mapped-ram restore`: restores a VM from an image.
struct RestoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Restore a VM from an image.",
    usage: """
      mapped-ram restore [<options>] <image> -- qemu-system-<target> <arguments>
      mapped-ram restore [<options>] <image> <socket>
      """,
    discussion: """
      With a QEMU behind --, that is started and the image restored into it. Give it the arguments with which the VM was \
      started; what a restore needs is added. The VM then behaves as if QEMU had been run directly: it has the terminal, signals \
      go to it, and the command ends with QEMU's status. With a socket, the image goes into a QEMU that waits with -incoming defer. \
      Before anything is changed the VM is compared with the image, and all differences are reported.

      --engine map takes milliseconds, whatever the size of the RAM: the guest reads pages from the image as it touches them, \
      and keeps what it writes to itself. The image must be kept, and not change, while the VM runs. Many VMs can run on one \
      image; they share the guest's random state, network identity and disks unless their arguments differ. Memory that a \
      balloon gives back stays in use, and takes some more: use place there. An image on tmpfs grows as guests touch its absent pages, \
      and where that is full QEMU ends without a message. A QEMU that waits already must have been started with its memory from \
      the image.

      With --verify, contents that are not those that were saved never reach a running guest. With map, the image is read and compared \
      once, before the VM runs: pages are not checked again when the guest touches them.

      With --device, the state of a device that stands behind the image's stream goes to a file or a command, in order, while the RAM \
      is being restored. A command is run by /bin/sh.

      EXAMPLES:
        mapped-ram restore vm.img -- qemu-system-x86_64 -machine q35 -m 4G -drive file=disk.qcow2
        mapped-ram restore --engine map --detach vm.img -- qemu-system-x86_64 -machine q35 -m 4G
        mapped-ram restore --engine map --detach --clone-disks clones/1 vm.img -- \\
          qemu-system-x86_64 -machine q35 -m 4G -drive file=disk.qcow2
        mapped-ram restore --verify vm.img /run/vm.qmp
        mapped-ram restore --device 'gpu0=|gpu-ctl load 0' vm.img /run/vm.qmp

      On failure nothing is left behind: no files, and no QEMU that was started. A QEMU that waited already cannot be used any \
      more if the restore fails in the middle.

      \(ExitStatus.help([
        .negative: "the VM does not match the image",
        .badData: "the image is damaged, incomplete or none at all",
        .unavailable:
          "QEMU cannot be started or reached, or refuses; direct I/O was required and is refused; or --verify, and there are no checksums",
        .cannotCreate: "a device's file, an overlay, the socket or the log cannot be created",
      ], besides: [.incomplete]))
      """)

  @Argument(
    help: "The image: a file that QEMU, libvirt or mapped-ram wrote, or a block device.",
    completion: .file(), transform: FilePath.image)
  var image: FilePath

  @Argument(
    help: "The QMP socket of a QEMU that waits with -incoming defer.", completion: .file(),
    transform: { FilePath($0) })
  var socket: FilePath?

  @Argument(
    parsing: .postTerminator,
    help: ArgumentHelp(
      "The QEMU to start, with the arguments with which the VM was started.", valueName: "qemu"))
  var command: [String] = []

  @OptionGroup(title: "VM") var machine: RestoreMachine
  @OptionGroup(title: "Devices") var devices: DeviceRestoreArguments
  @OptionGroup(title: "Devices") var force: ForceArgument
  @OptionGroup(title: "Transfer") var transfer: TransferArguments
  @OptionGroup(title: "Common options") var output: OutputArguments
  @OptionGroup(title: "Expert options") var channels: ChannelArguments
  @OptionGroup(title: "Expert options") var offset: OffsetArgument
  @OptionGroup(title: "Expert options") var process: ProcessArgument

  func validate() throws {
    if socket == nil, command.isEmpty {
      throw ValidationError(
        "Missing target: give the QMP socket of a QEMU that waits, or a QEMU to start behind --.")
    }
    if let socket, !command.isEmpty {
      throw ValidationError(
        "Give either a socket (\(socket)), or a QEMU to start behind --, not both.")
    }
    if command.isEmpty, let option = machine.ofStartedQEMU.first {
      throw ValidationError("\(option) is for a QEMU that this command starts: give it behind --.")
    }
  }
}

/// The options of `mapped-ram restore` about the VM.
struct RestoreMachine: ParsableArguments {
  @Option(
    help: """
      How the RAM gets into the VM. map: not at all, the guest runs on the image itself. place: mapped-ram writes it into \
      QEMU's memory. qemu: QEMU loads it by itself. auto: place where that is permitted, else qemu.
      """)
  var engine = VMRestore.Engine.auto

  @Flag(
    help: """
      Compare all contents with the image's checksums, and do not let the VM run if anything differs. Pages that mapped-ram writes \
      (place) are compared as they are read; with map and qemu all of the image is read once before. An image without checksums is refused.
      """)
  var verify = false

  @Option(
    help:
      "What to do with the VM afterwards. (default: resume it if it was running when it was saved)")
  var then: AfterRestore?

  @Option(
    help: ArgumentHelp(
      """
      The VM is one of many clones: make a qcow2 overlay of each disk that it writes to in this directory, which is made if it is \
      not there, and let it write to those. The disks must be raw or qcow2, with their format given, and nothing else may write to them.
      """, valueName: "directory"),
    completion: .directory, transform: { FilePath($0) })
  var cloneDisks: FilePath?

  @Flag(
    help: """
      Restore although files of disks were written to since the moment of the image. The guest then goes on with file systems that are \
      no longer so, and ruins them, unless they are not mounted.
      """)
  var disksChanged = false

  @Flag(
    help:
      "Return as soon as the VM is restored, print QEMU's process ID, QMP socket and log, and leave it running."
  )
  var detach = false

  @Option(
    help: ArgumentHelp(
      "With --detach: where QEMU creates its QMP socket. (default: a new one in XDG_RUNTIME_DIR or /tmp)",
      valueName: "socket"),
    completion: .file(), transform: { FilePath($0) })
  var socket: FilePath?

  @Option(
    help: ArgumentHelp(
      "With --detach: append QEMU's stdout and stderr to this file. (default: a new one in XDG_RUNTIME_DIR or /tmp)",
      valueName: "file"),
    completion: .file(), transform: { FilePath($0) })
  var log: FilePath?

  /// The options that are given and need a QEMU that is started here.
  var ofStartedQEMU: [String] {
    [
      ("--detach", detach), ("--socket", socket != nil), ("--log", log != nil),
      ("--clone-disks", cloneDisks != nil),
    ].filter(\.1).map(\.0)
  }

  func validate() throws {
    if !detach, socket != nil || log != nil {
      throw ValidationError("--socket and --log are for --detach.")
    }
  }

  /// How QEMU lives beside this command.
  var mode: QEMULaunch.Mode {
    guard detach else { return .foreground }
    let made = Self.newSocket
    var name = made
    name.extension = "log"
    return .detached(
      socket: (socket ?? made).absolute, log: log.map { .file($0.absolute) } ?? .new(name))
  }

  private static var newSocket: FilePath {
    // SAFETY: nothing in this process changes the environment.
    newSocket(in: unsafe getenv("XDG_RUNTIME_DIR").map { unsafe String(cString: $0) })
  }

  /// A path for a socket in the directory `runtime`, or in /tmp where that will not do: empty counts as unset, and so does a relative one
  /// (XDG Base Directory Specification); one of a session that is over is not there any more; and QEMU takes no path that is too long.
  static func newSocket(in runtime: String?) -> FilePath {
    let name = "mapped-ram-\(getpid())-\(UInt16.random(in: 0 ... .max)).qmp"
    guard let runtime = runtime.map({ FilePath($0) }), runtime.isAbsolute,
      InodeType(at: runtime) == .directory, UnixSocket.hasRoom(for: runtime.appending(name))
    else { return FilePath("/tmp").appending(name) }
    return runtime.appending(name)
  }
}
