import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// The QMP client and the facts of a running VM, with a stock QEMU.
  @Suite struct QMPTests {
    @Test func statusFollowsStopAndCont() throws {
      let qemu = try QEMU(.init())
      let connection = try QMPConnection(connecting: qemu.qmpSocket)
      #expect(try #require(connection.version) >= QEMUVersion(9, 0))
      #expect(try connection.qemuVersion() == connection.execute(.queryVersion))
      #expect(try connection.execute(.queryStatus) == .running)
      try connection.execute(.stop)
      #expect(try connection.execute(.queryStatus) == .paused)
      try connection.execute(.cont)
      #expect(try connection.execute(.queryStatus) == .running)
      let events = try connection.takeEvents().map(\.name)
      #expect(events == ["STOP", "RESUME"])
      #expect(try connection.peerProcessID() == qemu.processID)
      #expect(try connection.humanMonitor("info status").hasPrefix("VM status: running"))
      #expect(try connection.humanMonitor("no-such-command").contains("unknown command"))
      try connection.quit()
      try qemu.wait(for: "the end") { !qemu.isRunning }
      let error = #expect(throws: QMPError.self) { try connection.execute(.queryStatus) }
      guard case .closed("query-status", qemu.qmpSocket) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
    }

    @Test func aRefusalIsQEMUsOwn() throws {
      let qemu = try QEMU(.init())
      let connection = try QMPConnection(connecting: qemu.qmpSocket)
      #expect(
        throws: QMPError.refused(
          command: "no-such", errorClass: "CommandNotFound",
          description: "The command no-such has not been found")
      ) { try connection.execute("no-such") }
      // The connection is as good as before.
      #expect(try connection.execute(.queryTarget) == "x86_64")
      #expect(try connection.execute(.queryName) == nil)
      #expect(try connection.execute(.queryCommands).contains("xen-save-devices-state"))
    }

    /// A second client connects, as the kernel queues it, and hears nothing; when the first has gone,
    /// it is heard.
    @Test func aBusySocketIsNamed() throws {
      let qemu = try QEMU(.init())
      let first = try QMPConnection(connecting: qemu.qmpSocket)
      #expect(
        throws: QMPError.noGreeting(qemu.qmpSocket, after: .milliseconds(200))
      ) { try QMPConnection(connecting: qemu.qmpSocket, timeout: .milliseconds(200)) }
      try first.reconnect()
      #expect(try first.execute(.queryStatus) == .running)
      first.socket.shutdown()
      let second = try QMPConnection(connecting: qemu.qmpSocket)
      #expect(try second.execute(.queryStatus) == .running)
    }

    /// The first connection leaves a negotiated socket to the second.
    @Test func aNegotiatedSocketIsTakenOver() throws {
      let qemu = try QEMU(.init())
      let socket = try UnixSocket.connect(to: qemu.qmpSocket)
      let first = try QMPConnection(socket: socket, name: "first")
      #expect(try first.execute(.queryStatus) == .running)
      let second = try QMPConnection(socket: socket, name: "second")
      #expect(try second.execute(.queryStatus) == .running)
      #expect(second.version == nil)
      #expect(try second.qemuVersion() == first.qemuVersion())
    }

    /// For a state that QEMU writes it takes the descriptor that is open for writing alone.
    @Test func descriptorsArrive() throws {
      let qemu = try QEMU(.init())
      let connection = try QMPConnection(connecting: qemu.qmpSocket)
      let file = try FileDescriptor.open(
        qemu.directory.file("state"), .writeOnly, options: [.create, .truncate],
        permissions: .ownerReadWrite)
      defer { try? file.close() }
      let added = try connection.execute(.addDescriptor(file.rawValue, note: "state"))
      let again = try connection.execute(.addDescriptor(file.rawValue, to: added.set))
      #expect(again.set == added.set && again.number != added.number)
      #expect(try connection.execute(.queryDescriptorSets)[added.set]?.sorted() == ["", "state"])
      try connection.execute(.stop)
      try connection.execute(.saveDeviceState(file: added.path))
      #expect(try file.seek(offset: 0, from: .end) > 1000)
      try connection.execute(.removeDescriptor(set: added.set, number: again.number))
      try connection.execute(.removeDescriptor(set: added.set))
      #expect(try connection.execute(.queryDescriptorSets).isEmpty)
      try connection.execute(.getDescriptor(file.rawValue, named: "x"))
      try connection.execute(.closeDescriptor(named: "x"))
      #expect(throws: QMPError.self) { try connection.execute(.closeDescriptor(named: "x")) }
    }

    /// QEMU takes back all parameters and capabilities as it gave them, which is how a save by
    /// QEMU leaves them.
    @Test func migrationSettingsGoBothWays() throws {
      let qemu = try QEMU(.init())
      let connection = try QMPConnection(connecting: qemu.qmpSocket)
      let capabilities = try connection.execute(.queryMigrationCapabilities)
      let parameters = try connection.execute(.queryMigrationParameters)
      #expect(capabilities["mapped-ram"] == false)
      try connection.execute(.setMigrationCapabilities(["mapped-ram": true, "multifd": true]))
      try connection.execute(
        .setMigrationParameters(["multifd-channels": 5, "max-bandwidth": 0, "direct-io": true]))
      #expect(try connection.execute(.queryMigrationParameters)["multifd-channels"] == 5)
      try connection.execute(.setMigrationCapabilities(capabilities))
      try connection.execute(.setMigrationParameters(parameters))
      #expect(try connection.execute(.queryMigrationCapabilities) == capabilities)
      #expect(try connection.execute(.queryMigrationParameters) == parameters)
    }

    @Test func aMigrationIsFollowedToItsEnd() throws {
      let directory = try TemporaryDirectory()
      let source = try QEMU(.init())
      let connection = try QMPConnection(connecting: source.qmpSocket)
      #expect(try connection.execute(.queryMigrate).status == nil)
      try connection.execute(.migrateCancel)
      #expect(throws: QMPError.self) {
        try connection.execute(.migrate(uri: "file:/no/such/directory/x"))
      }
      let failed = try connection.execute(.queryMigrate)
      #expect(failed.status == .failed)
      #expect(failed.errorDescription?.contains("No such file") == true)
      #expect(!failed.isUnderWay)

      try connection.execute(.setMigrationCapabilities(["events": true]))
      try connection.execute(.stop)
      let uri = "file:\(directory.file("image"))"
      try connection.execute(.migrate(uri: uri))
      var info = try connection.execute(.queryMigrate)
      while info.isUnderWay {
        #expect(
          try connection.waitForEvent(["MIGRATION"], deadline: .now + .seconds(30)) != nil)
        info = try connection.execute(.queryMigrate)
      }
      #expect(info.status == .completed)
      #expect(try #require(info.ram).total > 16 << 20)
      #expect(info.totalMilliseconds != nil && info.downtimeMilliseconds != nil)

      let target = try QEMU(QEMU.Configuration().destination)
      let loading = try QMPConnection(connecting: target.qmpSocket)
      #expect(try loading.captureObstacles() == [.runState(.inMigrate)])
      try loading.execute(.setMigrationCapabilities(["events": true]))
      try loading.startIncoming(uri: uri)
      while try loading.execute(.queryMigrate).isUnderWay {
        #expect(try loading.waitForEvent(["MIGRATION"], deadline: .now + .seconds(30)) != nil)
      }
      #expect(try loading.execute(.queryMigrate).status == .completed)
      #expect(try loading.execute(.queryStatus) == .paused)
    }
  }
}
