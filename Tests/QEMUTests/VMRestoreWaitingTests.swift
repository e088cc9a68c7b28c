import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// A QEMU that waits is not ours, and may be another client's by now.
  @Suite struct VMRestoreWaitingTests {
    /// The VM ran when it was saved. It waits without `-S`, so that it runs once it is loaded, unless a client has stopped it.
    @Test func aRestoreThatIsRefusedLeavesTheVMAsItWas() throws {
      let vm = try SavedVM(VMKind("live", isLive: true))
      let directory = try TemporaryDirectory()
      let target = try QEMU(vm.kind.configuration(in: directory).destination)
      let connection = try QMPConnection(connecting: target.qmpSocket)
      let source = try RestoreSource(vm.image)
      var restore = VMRestore()
      restore.engine = .map
      #expect(throws: VMError.cannotMap(.notMapped(vm.image))) {
        _ = try restore.run(source, into: connection)
      }
      restore.engine = .place
      restore.processID = getpid()
      #expect(throws: VMError.cannotCapture([.unknownProcess(given: getpid())])) {
        _ = try restore.run(source, into: connection)
      }
      try target.load(from: vm.image, vm.kind.migration)
      let deadline = ContinuousClock.now + .seconds(5)
      while try connection.execute(.queryStatus) != .running, .now < deadline { usleep(5000) }
      #expect(try connection.execute(.queryStatus) == .running)
    }

    /// The command has seen that the VM waits, and its `stop` comes only when another one has restored the VM.
    @Test func aVMThatAnotherHasRestoredMeanwhileRunsOn() throws {
      let vm = try SavedVM(VMKind("live", isLive: true))
      let directory = try TemporaryDirectory()
      var configuration = vm.kind.configuration(in: directory).destination
      configuration.arguments += ["-qmp", "unix:{directory}/other,server=on,wait=off"]
      let target = try QEMU(configuration)
      let (reached, done) = (directory.file("reached"), directory.file("done"))
      let proxy = try QMPProxy(
        before: target, [.init("stop", seconds: 60, reached: reached, until: done)])
      let command = try RunningTool(["restore", vm.image.string, proxy.socket.string])
      try command.wait(for: "its stop") { exists(reached) }
      let connection = try QMPConnection(connecting: target.directory.file("other"))
      let report = try VMRestore().run(try RestoreSource(vm.image), into: connection)
      #expect(report.state == "running")
      try Data().write(to: URL(fileURLWithPath: done.string))
      #expect(try command.wait() == 69)
      #expect(command.errors.contains(#"The VM's state is "running"; expected inmigrate."#))
      #expect(try connection.execute(.queryStatus) == .running)
    }

    /// A restore that is cancelled leaves the waiting QEMU nothing: while it is asked for its devices, and while it does not answer the
    /// clean-up either, which then is not waited for any longer than that.
    @Test(arguments: [false, true])
    func aRestoreThatIsCancelledLeavesNothing(hangsInTheEnd: Bool) throws {
      let vm = try SavedVM(VMKind("q35"))
      let directory = try TemporaryDirectory()
      let target = try QEMU(vm.kind.configuration(in: directory).destination)
      let before = try target.state().descriptorSets
      let reached = directory.file("reached")
      let proxy = try QMPProxy(
        before: target,
        hangsInTheEnd
          ? [
            .init("migrate-incoming", do: "drop", reached: reached),
            // The first is that of the look at the devices.
            .init("remove-fd", nth: 2, do: "drop"),
          ] : [.init("xen-save-devices-state", do: "drop", reached: reached)])
      let command = try RunningTool([
        "restore", vm.image.string, proxy.socket.string, "--timeout", "2",
      ])
      let start = ContinuousClock.now
      #expect(try command.wait() == 75, "\(command.errors)")
      #expect(exists(reached))
      #expect(ContinuousClock.now - start < .seconds(25))
      if !hangsInTheEnd { #expect(try target.state().descriptorSets == before) }
      withExtendedLifetime(proxy) {}
    }
  }
}
