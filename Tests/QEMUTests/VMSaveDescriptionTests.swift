import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// The device state of a captured VM, whatever its memory is.
  @Suite struct VMSaveDescriptionTests {
    static let backends: [QEMU.Configuration.Backend] = [
      .ram, .memfd(isShared: true), .file("main", isShared: true),
    ]

    private let directory: TemporaryDirectory
    private var image: FilePath { directory.file("vm.img") }

    init() throws { directory = try TemporaryDirectory() }

    /// Each section is there with its name and length, and QEMU loads them.
    @Test(arguments: backends)
    func sectionsAreDescribed(memory: QEMU.Configuration.Backend) throws {
      let configuration = QEMU.Configuration.small.with {
        $0.setMemory(memory)
        $0.addVGA()
        $0.addNetwork()
      }
      let source = try QEMU(configuration)
      try source.setCapability("multifd", true)
      try source.execute("migrate-set-parameters", ["max-bandwidth": 1000])
      try source.waitForGuestLines(2)
      let before = try source.state()
      let report = try source.saveVM(to: image) { $0.engine = .capture }
      #expect(report.stateAfter == "running")
      #expect(try source.state() == before)
      try source.expectGoesOn()
      let shown = try Subprocess.succeed([Tool.path, "inspect", "--devices", image.string]).text
      #expect(shown.contains("timer") && shown.contains("globalstate"), "\(shown)")
      #expect(!shown.contains("cpu_ticks_offset"))
      // QEMU's own reader of descriptions accepts it.
      #expect(try ImageDecoderOracle.read(image).complete == true)
      try expectLoaded(
        image, into: configuration, from: source, continues: false)
      #expect(source.log == "")
    }

    /// While the VM is paused nobody else can have its disks. A device's command is run then.
    @Test(arguments: backends)
    func disksStayLocked(memory: QEMU.Configuration.Backend) throws {
      let (disk, said) = (directory.file("disk"), directory.file("said"))
      try QEMU.makeDisk(disk, mebibytes: 1)
      let source = try QEMU(
        .small.with {
          $0.setMemory(memory)
          $0.addDisk(disk)
        })
      try source.waitForGuestLines(2)
      let command = "qemu-io -f raw -c 'write 0 512' '\(disk)' >'\(said)' 2>&1; echo state"
      try source.saveVM(to: image) {
        $0.engine = .capture
        $0.devices = [DeviceSource(DeviceIdentity("disk-user"), from: CommandStateSource(command))]
      }
      #expect(text(of: said).contains("lock"), "\(text(of: said))")
      try source.expectGoesOn()
    }
  }
}
