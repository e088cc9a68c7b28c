import Foundation
import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// The connection to QEMU breaks in the middle of a save.
  @Suite struct VMSaveConnectionTests {
    /// Saves, and cuts the connection once pages have been dealt with.
    private func saveCut(
      _ vm: LiveVM, _ engine: VMSave.Engine, then: @escaping @Sendable () -> Void = {}
    ) throws -> VMSaveReport {
      let connection = try QMPConnection(connecting: vm.qemu.qmpSocket)
      let socket = connection.socket
      let progress = TransferProgress()
      let cutter = Thread {
        let deadline = ContinuousClock.now + .seconds(30)
        while progress.doneBytes == 0, ContinuousClock.now < deadline { usleep(200) }
        socket.shutdown()
        then()
      }
      cutter.start()
      defer { while !cutter.isFinished { usleep(1000) } }
      var save = VMSave.watched(to: vm.image)
      save.engine = engine
      return try save.run(connection, progress: progress)
    }

    /// Renames a socket. One that is not there is seen by the test itself.
    private static func move(_ from: String, _ to: String) {
      do {
        try FileManager.default.moveItem(atPath: from, toPath: to)
      } catch {
        print("\(from) stays: \(error)")
      }
    }

    /// A capture needs QEMU no more once it has the device state, but to let the VM go on: over a new connection.
    @Test func captureReconnects() throws {
      let vm = try LiveVM.slow()
      let report = try saveCut(vm, .capture)
      #expect(report.stateAfter == "running")
      try vm.expectAsBefore(leaving: ["vm.img"])
    }

    /// The migration that nobody watches any more is ended, and then all is put back.
    @Test func saveByQEMUIsUndoneOverANewConnection() throws {
      let vm = try LiveVM.slow()
      let error = #expect(throws: VMError.self) { try saveCut(vm, .qemu) }
      guard case .qmp(.closed) = error else { throw HarnessError("\(String(describing: error))") }
      try vm.expectAsBefore(says: true)
    }

    /// The socket's path is gone as well, for a second.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func pathThatComesBack(engine: VMSave.Engine) throws {
      let vm = try LiveVM.slow()
      let (path, away) = (vm.qemu.qmpSocket.string, vm.qemu.qmpSocket.string + "-away")
      let run = {
        try saveCut(vm, engine) {
          Self.move(path, away)
          usleep(1_000_000)
          Self.move(away, path)
        }
      }
      if engine == .capture {
        #expect(try run().stateAfter == "running")
        try vm.expectAsBefore(leaving: ["vm.img"])
      } else {
        let error = #expect(throws: VMError.self) { _ = try run() }
        guard case .qmp(.closed) = error else {
          throw HarnessError("\(String(describing: error))")
        }
        try vm.expectAsBefore(says: true)
      }
    }

    /// Nothing leads to QEMU any more: the error says that the VM is paused, and nothing is left. Another client helps.
    @Test func pathThatStaysAway() throws {
      let vm = try LiveVM.slow()
      let path = vm.qemu.qmpSocket.string
      let error = #expect(throws: VMError.self) {
        try saveCut(vm, .capture) { Self.move(path, path + "-away") }
      }
      guard case .leftPaused = error else { throw HarnessError("\(String(describing: error))") }
      #expect(try vm.directory.names().isEmpty)
      #expect(try vm.qemu.status() == "paused")
      try vm.qemu.resume()
      try vm.expectAsBefore()
    }
  }
}
