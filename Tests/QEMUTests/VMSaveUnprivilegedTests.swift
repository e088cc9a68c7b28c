import Foundation
import QEMUControl
import SystemPackage
import TestSupport
import Testing

/// The built command where user nobody can run it.
enum UnprivilegedTool {
  /// A copy of it in a directory of its own.
  static func copy(in directory: TemporaryDirectory) throws -> String {
    let path = directory.file("mapped-ram").string
    try Subprocess.succeed(["install", "-m", "755", Tool.path, path])
    return path
  }

  /// Whether that works: the libraries of Swift may be where only root gets at them.
  static let isAvailable: Bool = {
    guard Unprivileged.isAvailable, let directory = try? TemporaryDirectory(),
      let path = try? copy(in: directory)
    else { return false }
    return (try? Subprocess.run(Unprivileged.prefix() + [path, "--help"]).status) == 0
  }()
}

extension RealQEMU {
  /// The command without the right to read QEMU's memory: a root's QEMU whose socket is open to all.
  @Suite(.enabled(if: UnprivilegedTool.isAvailable, "needs root, and the command for user nobody"))
  struct VMSaveUnprivilegedTests {
    private let tool: TemporaryDirectory
    private let directory: TemporaryDirectory
    private let qemu: QEMU
    private let configuration = QEMU.Configuration.small

    init() throws {
      tool = try TemporaryDirectory()
      directory = try TemporaryDirectory()
      try directory.give(to: Unprivileged.nobody)
      qemu = try QEMU(configuration)
      try qemu.waitForGuestLines(2)
      try FileManager.default.setAttributes(
        [.posixPermissions: 0o777], ofItemAtPath: qemu.qmpSocket.string)
    }

    private var image: FilePath { directory.file("vm.img") }

    private func save(_ options: [String]) throws -> Subprocess {
      try Subprocess.run(
        Unprivileged.prefix() + [
          try UnprivilegedTool.copy(in: tool), "save", qemu.qmpSocket.string, image.string,
        ] + options)
    }

    @Test func autoLetsQEMUSaveAndSaysWhy() throws {
      let before = try qemu.state()
      let result = try save([])
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.errors.contains("by qemu"), "\(result.errors)")
      #expect(result.errors.contains("QEMU's memory may not be read"), "\(result.errors)")
      #expect(result.errors.contains("CAP_SYS_PTRACE"), "\(result.errors)")
      #expect(try qemu.state() == before)
      try qemu.expectGoesOn()
      try expectLoaded(
        image, into: configuration, from: qemu, continues: false)
    }

    /// A QEMU with few rights saves into a directory that is shut to it: it gets the file from us.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func confinedQEMU(engine: VMSave.Engine) throws {
      let closed = try TemporaryDirectory()
      try closed.makePrivate()
      let confined = try QEMU(configuration.with { $0.user = Unprivileged.nobody })
      try confined.waitForGuestLines(2)
      let before = try confined.state()
      let report = try confined.saveVM(to: closed.file("vm.img")) { $0.engine = engine }
      #expect(report.engine == engine)
      #expect(try confined.state() == before)
      try confined.expectGoesOn()
      try expectLoaded(
        closed.file("vm.img"), into: configuration, from: confined,
        continues: false)
    }

    @Test func captureIsRefusedWithAdvice() throws {
      let before = try qemu.state()
      let result = try save(["--engine", "capture"])
      #expect(result.status == 77, "\(result.errors)")
      #expect(result.errors.contains("QEMU's memory may not be read"), "\(result.errors)")
      #expect(result.errors.contains("CAP_SYS_PTRACE"), "\(result.errors)")
      #expect(result.errors.contains("--engine qemu"), "\(result.errors)")
      #expect(try qemu.state() == before)
      #expect(!exists(image))
      try qemu.expectGoesOn()
    }
  }
}
