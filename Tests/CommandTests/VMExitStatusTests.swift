import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QEMUArguments
import QEMUControl
import QMP
import SystemPackage
import Testing

@testable import MappedRAMCommands

// Testing has an ExitStatus of its own.
private typealias ExitStatus = MappedRAMCommands.ExitStatus

/// How the commands about VMs end.
@Suite struct VMExitStatusTests {
  static let output: FilePath = "/data/vm.img"

  private func status(_ error: VMError) -> ExitStatus {
    ExitStatus(.vm(error, output: Self.output))
  }

  private func call(
    _ call: SystemCall, _ errno: Errno, _ subject: SystemCallError.Subject = .process
  ) -> SystemCallError {
    SystemCallError(call: call, errno: errno, subject: subject)
  }

  @Test(arguments: [
    VMError.state(found: "running", expected: ["inmigrate"]),
    .migrationFailed("/i.img", reason: nil),
    .tooOld(QEMUVersion(8, 2)), .cannotMap(.notMapped("/i.img")),
    .snapshotsRemain(
      ["/s.qcow2"], cause: .migrationFailed("/i.img", reason: nil),
      reason: .closed(command: "x", "/q"), isWatched: true),
    .relativeDisk(disk: "vda", file: "a.raw"),
    .ended(.exited(status: 1), messages: ""),
    .qmp(.refused(command: "stop", errorClass: "GenericError", description: "no")),
    .qmp(.closed(command: nil, "/q")), .qmp(.noGreeting("/q", after: .seconds(1))),
  ])
  func aQEMUThatCannotOrWillNotIs69(error: VMError) {
    #expect(status(error) == .unavailable)
  }

  @Test(arguments: [Errno.permissionDenied, .notPermitted])
  func missingPermissionIs77(errno: Errno) {
    #expect(
      status(.cannotCapture([.notPermitted(call(.process_vm_readv, errno))])) == .notPermitted)
    #expect(status(.qmp(.system(call(.connect, errno, .socket("/q"))))) == .notPermitted)
    #expect(status(.system(call(.open, errno, .file("/x")))) == .notPermitted)
    #expect(status(.launch(.system(call(.execvp, errno)))) == .notPermitted)
  }

  @Test func anObstacleToACaptureThatNoPermissionLiftsIs69() {
    #expect(status(.cannotCapture([.unknownProcess(given: nil)])) == .unavailable)
    #expect(
      status(.cannotCapture([.missingCommand("cont"), .blocked(reason: "x")])) == .unavailable)
  }

  @Test func anotherVMThanTheImageNeedsIs1() {
    #expect(
      status(.mismatches("/i.img", [.machineType(found: "pc", expected: "q35")])) == .negative)
  }

  @Test func whatCannotBeMadeIs73() {
    #expect(status(.snapshotExists("/s.qcow2")) == .cannotCreate)
    #expect(status(.launch(.socketTaken(path: "/q"))) == .cannotCreate)
    #expect(
      status(.system(call(.open, .noSuchFileOrDirectory, .file(Self.output)))) == .cannotCreate)
  }

  @Test(arguments: [
    LaunchRefusal.noProgram, .missingValue(option: "-m"), .conflict(.incoming),
    .unreadable(option: "-object", value: "{"), .needsSharedMemory(option: "-device"),
    .memorySize(idstr: "pc.ram", image: 1, arguments: 2, option: "-m"),
  ])
  func argumentsOfQEMUThatCannotBeAre64(refusal: LaunchRefusal) {
    #expect(status(.launch(.refused(refusal))) == .usage)
  }

  @Test func aProgramThatIsNotThereIs69() {
    #expect(status(.launch(.system(call(.execvp, .noSuchFileOrDirectory)))) == .unavailable)
    #expect(status(.launch(.system(call(.execvp, .noMemory)))) == .ioError)
  }

  @Test func anInterruptionStaysOneWhereTheVMCouldNotGoOn() {
    let left = VMError.leftPaused(
      cause: .image(.cancelled), reason: .closed(command: "cont", "/q"), isWatched: true)
    #expect(status(left) == .interrupted)
    #expect(status(.image(.cancelled)) == .interrupted)
  }

  @Test func errorsOfTheEngineCountAsAlways() throws {
    #expect(throws: CommandError.image(.cancelled, output: Self.output)) {
      try CommandError.vm(to: Self.output) { () throws(VMError) in throw .image(.cancelled) }
    }
    let format = FormatError(.nameEmpty, at: 7, in: .ramBlockList)
    #expect(status(.image(.format(format, in: "/i.img"))) == .badData)
  }
}
