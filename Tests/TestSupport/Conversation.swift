import LinuxIO
package import LinuxProcesses
import MappedRAMFormat
package import QMP
import SystemPackage

/// Runs `client` against `server`, which plays QEMU on a socket pair, negotiation and all.
package func converse<Value>(
  _ server: @escaping @Sendable (FakeQEMU) throws -> Void,
  client: (UnixSocket) throws -> Value
) throws -> Value {
  let (ours, theirs) = try UnixSocket.pair(named: "fake")
  let thread = try PosixThread<Void, any Error>(name: "fake QEMU") {
    defer { theirs.shutdown() }
    try server(FakeQEMU(theirs))
  }
  let result = Result { try client(ours) }
  ours.shutdown()
  try thread.join()
  return try result.get()
}

/// Runs `client` on a negotiated connection.
package func withConnection<Value>(
  _ server: @escaping @Sendable (FakeQEMU) throws -> Void,
  client: (QMPConnection) throws -> Value
) throws -> Value {
  try converse { qemu throws in
    qemu.send(FakeQEMU.greeting)
    try qemu.answer()
    try server(qemu)
  } client: { socket in
    try client(try QMPConnection(socket: socket, name: "fake", timeout: .seconds(20)))
  }
}

/// What `body` throws.
package func thrown(_ body: () throws -> Void) -> QMPError? {
  do {
    try body()
    return nil
  } catch {
    return error as? QMPError
  }
}
