public import ArgumentParser
import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
public import QEMUControl
import SystemPackage

extension VMRestore.Engine: ExpressibleByArgument {}
extension VMRestore.Afterwards: ExpressibleByArgument {}

/// The options of `mapped-ram restore` that are about a VM.
struct RestoreMachine: ParsableArguments {
  @Option(
    help: """
      How the RAM gets into the VM. map: not at all, the guest runs on the image itself. place: this command writes it into \
      QEMU's memory. qemu: QEMU loads it by itself. auto: place where that is permitted, else qemu.
      """)
  var engine: VMRestore.Engine?

  @Option(help: "What becomes of the VM. (default: it goes on if it ran when it was saved)")
  var then: VMRestore.Afterwards?

  @Option(
    help: ArgumentHelp(
      "Restore into a QEMU that waits (-incoming defer) and listens for QMP at this unix socket.",
      valueName: "socket"),
    completion: .file(), transform: { FilePath($0) })
  var qmp: FilePath?

  @Option(
    help: ArgumentHelp(
      "QEMU's process, where it is not the one that QMP leads to.", valueName: "number"))
  var pid: Int32?

  @Flag(
    help:
      "Return as soon as the guest is restored, print QEMU's process number, QMP socket and log, and let it run."
  )
  var detach = false

  @Option(
    help: ArgumentHelp(
      "With --detach: where QEMU is to make its QMP socket. (default: a new one in XDG_RUNTIME_DIR or /tmp)",
      valueName: "socket"),
    completion: .file(), transform: { FilePath($0) })
  var socket: FilePath?

  @Option(
    help: ArgumentHelp(
      "With --detach: append what QEMU writes to its standard output and error to this file. (default: a new one in XDG_RUNTIME_DIR or /tmp)",
      valueName: "file"),
    completion: .file(), transform: { FilePath($0) })
  var log: FilePath?

  @Argument(
    parsing: .postTerminator,
    help: ArgumentHelp(
      "Start this QEMU, with the arguments with which the VM was started, and restore into it.",
      valueName: "qemu"))
  var command: [String] = []

  /// Whether the image goes into a VM.
  var isWanted: Bool { qmp != nil || !command.isEmpty }

  /// The options that are given and belong to VMs.
  var given: [String] {
    [
      ("--qmp", qmp != nil), ("-- \(command.first ?? "")", !command.isEmpty),
      ("--engine", engine != nil), ("--then", then != nil), ("--pid", pid != nil),
      ("--detach", detach), ("--socket", socket != nil), ("--log", log != nil),
    ].filter(\.1).map(\.0)
  }

  func validate() throws {
    if qmp != nil, !command.isEmpty {
      throw ValidationError("Give either --qmp, or a QEMU to start behind --, not both.")
    }
    if command.isEmpty,
      let option = given.first(where: { ["--detach", "--socket", "--log"].contains($0) })
    {
      throw ValidationError("\(option) is for a QEMU that this command starts: give it behind --.")
    }
    if !detach, socket != nil || log != nil {
      throw ValidationError("--socket and --log are for --detach.")
    }
    if !isWanted, let option = given.first {
      throw ValidationError("\(option) is for a VM: give --qmp, or a QEMU to start behind --.")
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

  /// The restore that is asked for.
  func restore(
    _ channels: ChannelArguments, _ devices: [DeviceIdentity: any DeviceStateTarget]
  ) -> VMRestore {
    var restore = VMRestore(options: channels.options)
    restore.engine = engine ?? .auto
    restore.afterwards = then
    restore.processID = pid
    restore.devices = devices
    return restore
  }
}
