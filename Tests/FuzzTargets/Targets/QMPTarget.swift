import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage

/// All that QEMU says in a conversation, from the answer to the first command on. Commands are numbered from 1.
///
/// Whatever a line returns is also taken for the answer to each command that there is.
enum QMPTarget {
  static func run(_ bytes: [UInt8]) throws(Finding) -> Bool {
    for line in bytes.split(separator: 0x0A) {
      let line = Array(line)
      try JSONText.check(line)
      if let value = try? JSONValue(parsing: line), let answer = value["return"] {
        try readAll(answer)
      }
    }
    return try converse(bytes)
  }

  private static func readAll(_ value: JSONValue) throws(Finding) {
    let answer = QMPAnswer(value, to: "x")
    for read in readers { try refusable { () throws(QMPError) in try read(answer) } }
    if let table = value["human-readable-text"]?.string ?? value.string {
      try refusable { () throws(QMPError) in
        for block in try GuestBlock.parse(table: table, of: "x") {
          // That it ends in the address space is checked when it is read.
          _ = block.hostAddress.map { $0 + block.maxLength.rawValue }
        }
      }
    }
  }

  /// Calls `body`, which may refuse an answer.
  private static func refusable(_ body: () throws(QMPError) -> Void) throws(Finding) {
    do throws(QMPError) {
      try body()
    } catch {
      _ = error.description
      guard case .unexpectedAnswer = error else { throw Finding("an answer: \(error)") }
    }
  }

  private typealias Reader = @Sendable (QMPAnswer) throws(QMPError) -> Void

  /// Reads the answer to `command`, and looks at what is made of it.
  private static func reader<Answer>(
    of command: QMPCommand<Answer>, _ look: @escaping @Sendable (Answer) -> Void = { _ in }
  ) -> Reader {
    { (answer) throws(QMPError) in look(try command.read(answer)) }
  }

  private static let readers = [
    reader(of: .queryStatus), reader(of: .queryVersion), reader(of: .queryTarget),
    reader(of: .queryUUID), reader(of: .queryName), reader(of: .queryProcessors),
    reader(of: .queryCharacterDevices), reader(of: .queryCommands), reader(of: .queryBlockNodes),
    reader(of: .queryBlockGraph),
    reader(of: .queryBlockJobs), reader(of: .queryConcludedJobs), reader(of: .addDescriptor(0)),
    reader(of: .queryDescriptorSets), reader(of: .queryMigrationCapabilities),
    reader(of: .queryMigrationParameters), reader(of: .queryMemoryBackends),
    reader(of: .queryMemoryDevices),
    reader(of: .queryBlock) { for disk in $0 { _ = (disk.label, disk.isWritable) } },
    reader(of: .queryMigrate) { _ = $0.isUnderWay },
    reader(of: .qomList("/")) { for property in $0 { _ = property.child } },
  ]

  /// Whether QEMU told all of a VM. The conversation ends where the bytes do.
  private static func converse(_ bytes: [UInt8]) throws(Finding) -> Bool {
    let (ours, theirs) = try succeed("a socket") { () throws(SystemCallError) in
      let pair = try UnixSocket.pair(named: "fuzz")
      try pair.1.send(bytes, deadline: .now + .seconds(1))
      return pair
    }
    // They have said all, and still listen.
    try require(shutdown(theirs.descriptor, CInt(SHUT_WR)) == 0, "shutdown")
    do throws(QMPError) {
      let connection = try QMPConnection(
        socket: ours, name: "fuzz", timeout: .seconds(1), lineLimit: 8 << 10, lastID: 0)
      let vm = try RunningVM(asking: connection)
      _ = (vm.identity, vm.ramByteCount, vm.blocks.map { vm.backend(of: $0) })
      try goOn(connection)
      return true
    } catch {
      _ = error.description
      switch error {
      case .timedOut, .system, .noGreeting, .cancelled: throw Finding("a conversation: \(error)")
      case .refused, .closed, .notQMP, .malformed, .unexpectedAnswer: return false
      }
    }
  }

  /// What is asked once much is known of a VM, until QEMU is gone.
  private static func goOn(_ connection: QMPConnection) throws(QMPError) {
    do throws(QMPError) {
      _ = try connection.takeEvents()
      _ = try connection.waitForEvent(["STOP"], deadline: .now)
      try connection.startIncoming(uri: "defer")
      _ = try connection.humanMonitor("info ramblock")
      try connection.quit()
    } catch {
      guard case .closed = error else { throw error }
    }
  }
}
