import LinuxIO
import LinuxProcesses
import QEMUArguments
import SystemPackage

/// A QMP monitor on one end of a socket pair, for a QEMU that is to be started.
///
/// QEMU leaves out its default monitor where its arguments name any other, and with `-nographic` the default one shares the
/// terminal with the serial port. A monitor in a file of `-readconfig` does not count (tried on QEMU 10.0.2), so
/// that is how ours is named where the default monitor would be lost.
struct ControlMonitor {
  /// Our end.
  let ours: UnixSocket
  private let theirs: UnixSocket
  private var configuration: File?

  /// Adds the monitor to the arguments of `line`.
  ///
  /// - Throws: what socketpair(2), memfd_create(2) and write(2) give.
  init(on line: inout QEMUCommandLine) throws(SystemCallError) {
    let name = FilePath("\(line.program), QMP")
    (ours, theirs) = try UnixSocket.pair(named: name)
    if ["nodefaults", "mon", "monitor", "qmp", "qmp-pretty"].contains(where: line.has) {
      line.append("-chardev", "socket,id=\(Self.id),fd=\(theirs.descriptor)")
      // QEMU 11.1 warns that -mon is deprecated.
      line.append("-qmp", "chardev:\(Self.id)")
      return
    }
    let text = Array(
      """
      [chardev "\(Self.id)"]
        backend = "socket"
        fd = "\(theirs.descriptor)"
      [mon "\(Self.id)"]
        chardev = "\(Self.id)"
        mode = "control"

      """.utf8)
    let file = try File.inMemory(name: Self.id, byteCount: UInt64(text.count))
    try file.write(text, at: 0)
    line.append("-readconfig", "/proc/self/fd/\(file.bufferedDescriptor)")
    configuration = file
  }

  /// What QEMU must inherit.
  var descriptors: [CInt] {
    [theirs.descriptor] + (configuration.map { [$0.bufferedDescriptor] } ?? [])
  }

  /// What ends QEMU whatever was said before: a byte at which its reader begins anew (QEMU 10.0, qobject/json-lexer.c, IN_RECOVERY), the
  /// negotiation, which is refused if it has been, and the command.
  static let farewell: [UInt8] =
    [0xFF] + Array(#"{"execute":"qmp_capabilities"}{"execute":"quit"}"#.utf8) + [0x0A]

  private static let id = "mapped-ram-control"
}
