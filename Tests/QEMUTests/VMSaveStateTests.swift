import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// What a VM is after a save that went well.
  @Suite struct VMSaveStateTests {
    private let directory: TemporaryDirectory
    private let qemu: QEMU
    private let configuration: QEMU.Configuration

    init() throws {
      directory = try TemporaryDirectory()
      let disk = directory.file("disk")
      try QEMU.makeDisk(disk, mebibytes: 1)
      configuration = QEMU.Configuration.small.with {
        $0.addDisk(disk)
        $0.addNetwork()
      }
      qemu = try QEMU(configuration)
      try qemu.waitForGuestLines(2)
    }

    private var image: FilePath { directory.file("vm.img") }

    private func runStateOfImage() throws -> RunState? {
      let file = try File.open(image, access: .read, directIO: .off)
      return try Image(reading: file).runState(in: file)
    }

    /// A VM that libvirt runs is for libvirt to save, unless that is said.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func aVMOfLibvirtIsLeftAlone(_ engine: VMSave.Engine) throws {
      let managed = try QEMU(
        .small.with {
          $0.arguments += [
            "-name", "guest=web1,debug-threads=on",
            "-chardev", "socket,id=charmonitor,path={directory}/monitor,server=on,wait=off",
            "-qmp", "chardev:charmonitor",
          ]
        })
      try managed.waitForGuestLines(2)
      let image = directory.file("vm.img")
      #expect(throws: VMError.managedByLibvirt(domain: "web1")) {
        try managed.saveVM(to: image) { $0.engine = engine }
      }
      let save = ["save", managed.qmpSocket.string, "--engine", engine.rawValue]
      let refused = try Tool.run(save + ["--force", image.string])
      #expect(refused.status == 69 && refused.errors.contains("(domain \"web1\")"))
      #expect(!exists(image))
      try Tool.succeed(save + ["--managed-by-libvirt", image.string])
      let inspected = try Tool.succeed(["inspect", managed.qmpSocket.string])
      #expect(inspected.text.contains("Managed by    libvirt"))
      try managed.expectGoesOn()
    }

    /// Settings that are in the way of a save are put back, whatever they were.
    @Test(
      arguments: [VMSave.Engine.capture, .qemu],
      [
        [:], ["multifd": true], ["multifd": true, "mapped-ram": true],
        ["xbzrle": true, "auto-converge": true, "events": true, "postcopy-ram": true],
        ["x-ignore-shared": true, "pause-before-switchover": true],
      ])
    func settingsAreAsBefore(engine: VMSave.Engine, capabilities: [String: Bool]) throws {
      for (name, state) in capabilities { try qemu.setCapability(name, state) }
      try qemu.execute(
        "migrate-set-parameters",
        [
          "multifd-channels": 3, "max-bandwidth": 1000, "downtime-limit": 17,
          "zero-page-detection": "legacy",
        ])
      let before = try qemu.state()
      let report = try qemu.saveVM(to: image) { $0.engine = engine }
      #expect(report.stateAfter == "running")
      #expect(try qemu.state() == before)
      #expect(try runStateOfImage() == .running)
      try qemu.expectGoesOn()
      #expect(qemu.log == "")
    }

    /// A VM that stood still stays so. After a migration of its own QEMU calls that `postmigrate`; its disks are active all the
    /// same, and it goes on.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func pausedStaysPaused(engine: VMSave.Engine) throws {
      try qemu.stop()
      var before = try qemu.state()
      let report = try qemu.saveVM(to: image) { $0.engine = engine }
      if engine == .qemu { before.status = "postmigrate" }
      #expect(report.stateBefore == "paused" && report.stateAfter == before.status)
      #expect(report.pause == nil)
      #expect(try qemu.state() == before)
      #expect(try runStateOfImage() == .paused)
      try qemu.resume()
      try qemu.expectGoesOn()
      #expect(try qemu.state().activeNodes == before.activeNodes)
    }

    /// A VM in `postmigrate` can be captured, and stays there with its disks as they were.
    @Test func postmigrateIsCaptured() throws {
      try qemu.save(to: directory.file("first.img"))
      let before = try qemu.state()
      #expect(before.status == "postmigrate")
      try qemu.saveVM(to: image) { $0.engine = .capture }
      #expect(try qemu.state() == before)
      #expect(try runStateOfImage() == .paused)
    }

    /// QEMU does not migrate such a VM again. Nothing about it changes.
    @Test func postmigrateIsRefusedByQEMU() throws {
      try qemu.save(to: directory.file("first.img"))
      let before = try qemu.state()
      #expect(throws: VMError.state(found: "postmigrate", expected: ["running", "paused"])) {
        try qemu.saveVM(to: image) { $0.engine = .qemu }
      }
      #expect(try qemu.state() == before)
      #expect(!exists(image))
    }

    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func resumed(engine: VMSave.Engine) throws {
      try qemu.stop()
      let report = try qemu.saveVM(to: image) {
        $0.engine = engine
        $0.afterwards = .resume
      }
      #expect(report.stateBefore == "paused" && report.stateAfter == "running")
      #expect(try runStateOfImage() == .paused)
      try qemu.expectGoesOn()
    }

    /// Every line up to the end of QEMU, and then those of its image, are one count.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func quit(engine: VMSave.Engine) throws {
      let report = try qemu.saveVM(to: image) {
        $0.engine = engine
        $0.afterwards = .quit
      }
      #expect(report.after == .ended)
      // Its disks are closed; what is left of the process is nobody's concern.
      try qemu.wait(for: "QEMU to end") { !qemu.isRunning }
      try expectLoaded(image, into: configuration, from: qemu)
    }

    /// QEMU does not do what it is told at the end: the image is there, the status is one of its own, and both are told.
    @Test(arguments: [
      ("quit", "running", "paused"), ("resume", "paused", "paused"), ("quit", "paused", "paused"),
    ])
    func whatFailsAtTheEnd(then: String, before: String, after: String) throws {
      if before == "paused" { try qemu.stop() }
      let proxy = try QMPProxy(
        before: qemu, [.init(then == "quit" ? "quit" : "cont", do: "refuse")])
      for progress in ["none", "json"] {
        let result = try Tool.run(
          ["save", proxy.socket.string, "--then", then, "--json", "--progress", progress]
            + ["--engine", "capture", image.string])
        #expect(result.status == 2, "\(result.errors)")
        #expect(result.errors.contains("The image is complete, but the VM is not as asked"))
        #expect(result.errors.contains("refused by the proxy"))
        #expect(result.text.contains("\"problem\"") && result.text.contains("\"hasEnded\" : false"))
        #expect(try qemu.status() == after)
        try Tool.succeed(["inspect", image.string])
      }
      try qemu.resume()
      try qemu.expectGoesOn()
    }

    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func pausedOnRequest(engine: VMSave.Engine) throws {
      let nodes = try qemu.state().activeNodes
      let report = try qemu.saveVM(to: image) {
        $0.engine = engine
        $0.afterwards = .pause
      }
      #expect(report.stateAfter == (engine == .qemu ? "postmigrate" : "paused"))
      #expect(try qemu.state().activeNodes == nodes)
      try qemu.resume()
      try qemu.expectGoesOn()
      // And once more.
      try qemu.saveVM(to: image) { $0.engine = engine }
      try qemu.expectGoesOn()
    }

    /// A VM that never ran (`-S`).
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func neverRun(engine: VMSave.Engine) throws {
      let fresh = try QEMU(.small.with { $0.paused = true })
      var before = try fresh.state()
      #expect(before.status == "prelaunch")
      try fresh.saveVM(to: image) { $0.engine = engine }
      if engine == .qemu { before.status = "postmigrate" }
      #expect(try fresh.state() == before)
      #expect(try runStateOfImage() == .prelaunch)
      try expectLoaded(
        image, into: QEMU.Configuration.small, from: fresh)
    }
  }
}
