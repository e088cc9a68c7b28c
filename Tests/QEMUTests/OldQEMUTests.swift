import Foundation
import QEMUControl
import SystemPackage
import TestSupport
import Testing

/// A QEMU that is too old.
private let oldQEMU = ProcessInfo.processInfo.environment["MAPPED_RAM_OLD_QEMU"]

extension RealQEMU {
  /// A QEMU that has none of what is needed: 7.2 knows no mapped-ram, and does not say where it has the VM's memory. All is refused
  /// by what is missing, and the VM goes on.
  @Suite(
    .enabled(
      if: oldQEMU != nil, "needs a QEMU 7.2 in MAPPED_RAM_OLD_QEMU, as Tests/run has"))
  struct OldQEMUTests {
    private let directory: TemporaryDirectory
    private var image: FilePath { directory.file("vm.img") }

    init() throws { directory = try TemporaryDirectory() }

    /// A machine that both versions have.
    private func configuration(old: Bool) -> QEMU.Configuration {
      QEMU.Configuration.small.with {
        $0.machine = "pc-q35-7.2"
        if old { $0.program = oldQEMU ?? "" }
      }
    }

    @Test func savesAreRefused() throws {
      let qemu = try QEMU(configuration(old: true))
      try qemu.waitForGuestLines(2)
      let noAddresses = "This QEMU does not report where the VM's memory is"
      let noMappedRAM = "does not have mapped-ram"
      for (options, words) in [
        (["--engine", "capture"], noAddresses), (["--engine", "qemu"], noMappedRAM),
        ([], noMappedRAM), (["--live"], noMappedRAM),
        (["--engine", "capture", "--live"], noAddresses),
      ] {
        let result = try Tool.run(
          ["save", qemu.qmpSocket.string, image.string] + options)
        #expect(result.status == 69)
        #expect(result.errors.contains(words), "\(options): \(result.errors)")
      }
      #expect(!exists(image))
      let text = try Tool.succeed(["inspect", qemu.qmpSocket.string]).text
      #expect(text.contains("none: the VM cannot be saved now"))
      #expect(text.contains(noAddresses) && text.contains(noMappedRAM))
      let json = try Tool.succeed(["inspect", "--json", qemu.qmpSocket.string]).text
      #expect(json.contains("\"hostAddress\" : null"))
      try qemu.expectGoesOn()
      #expect(qemu.log == "")
    }

    @Test func restoresAreRefused() throws {
      let qemu = try QEMU(configuration(old: false))
      try qemu.waitForGuestLines(2)
      try qemu.saveVM(to: image)
      let before = try Subprocess.succeed(["sha256sum", image.string]).text
      for (engine, words) in [
        ("auto", "does not have mapped-ram"), ("qemu", "does not have mapped-ram"),
        ("place", "does not report where the VM's memory is"), ("map", "Invalid parameter 'rom'"),
      ] {
        let result = try Tool.run(
          ["restore", "--engine", engine, "--detach", "--socket", "\(directory.file("s"))"]
            + [image.string, "--"] + configuration(old: true).words(in: directory))
        #expect(result.status == 69)
        #expect(result.errors.contains(words), "\(engine): \(result.errors)")
        #expect(!exists(directory.file("s")))
      }
      #expect(try Subprocess.succeed(["sha256sum", image.string]).text == before)
    }
  }
}
