import Foundation
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// What tests say about a VM that another client has worked on, and about one with few rights.
  @Suite struct GuestStateTests {
    /// Each change of a VM is a difference of its states, and undone none.
    @Test func stateTellsEachChange() throws {
      let directory = try TemporaryDirectory()
      let disk = directory.file("disk")
      try QEMU.makeDisk(disk, mebibytes: 1)
      let qemu = try QEMU(
        QEMU.Configuration(guest: BootSectorGuest(end: 0x20_0000), mebibytes: 8).with {
          $0.addDisk(disk)
        })
      let before = try qemu.state()
      #expect(before.status == "running")
      #expect(before.capabilities["mapped-ram"] == false)
      #expect(try qemu.state() == before)
      try qemu.stop()
      #expect(try qemu.state() != before)
      try qemu.resume()
      #expect(try qemu.state() == before)
      try qemu.setCapability("multifd", true)
      #expect(try qemu.state() != before)
      try qemu.setCapability("multifd", false)
      #expect(try qemu.state() == before)
      try qemu.execute("migrate-set-parameters", ["multifd-channels": 7])
      #expect(try qemu.state() != before)
      try qemu.execute("migrate-set-parameters", ["multifd-channels": 2])
      #expect(try qemu.state() == before)
    }

    /// A QEMU of another user runs the guest, and cannot save into a directory that is shut to it.
    @Test(.enabled(if: Unprivileged.isAvailable, "needs root and setpriv"))
    func confinedQEMUMayNotOpenThePath() throws {
      let directory = try TemporaryDirectory()
      try directory.makePrivate()
      let qemu = try QEMU(
        QEMU.Configuration(guest: BootSectorGuest(end: 0x20_0000), mebibytes: 8).with {
          $0.user = Unprivileged.nobody
        })
      try qemu.waitForGuestLines(2)
      let status = try String(contentsOfFile: "/proc/\(qemu.processID)/status", encoding: .utf8)
      #expect(status.contains("Uid:\t65534\t65534"))
      #expect(status.contains("CapEff:\t0000000000000000"))
      #expect {
        try qemu.save(to: directory.file("vm.img"))
      } throws: { error in
        "\(error)".contains("Permission denied")
      }
      try qemu.resume()
      try qemu.waitForGuestLines(try qemu.guestLines().count + 1)
    }

    /// Neither of the two commands with few rights may read the memory of a QEMU of another user, which this process may.
    @Test(.enabled(if: Unprivileged.isAvailable, "needs root and setpriv"))
    func prefixesTakeTheRightToTrace() throws {
      let read = ["sh", "-c", "head -c 0 /proc/$0/mem"]
      let asRoot = try QEMU(QEMU.Configuration().with { $0.paused = true })
      let other = try QEMU(
        QEMU.Configuration().with {
          $0.paused = true
          $0.user = Unprivileged.nobody
        })
      let (root, nobody) = ("\(asRoot.processID)", "\(other.processID)")
      #expect(try Subprocess.run(read + [nobody]).status == 0)
      #expect(try Subprocess.run(Unprivileged.prefix() + read + [root]).status != 0)
      #expect(try Subprocess.run(Unprivileged.prefixWithoutTracing + read + [nobody]).status != 0)
    }
  }
}

/// The reader of the Linux guest's serial port.
@Suite struct LinuxTickTests {
  /// A tick with the given count.
  private func tick(
    _ count: Int, sum: String = String(repeating: "a", count: 32), _ rest: String = "disk ok net ok"
  ) -> String {
    "tick \(count) md5 \(sum) \(rest)\n"
  }

  /// What the guest prints before the first one.
  private let boot = "\u{1B}[2JSeaBIOS\nready processors 2 memory 223376\n"

  /// What the firmware prints, and a last line without its end, are left out.
  @Test func ticksAreRead() throws {
    #expect(try LinuxGuest.ticks(of: "").isEmpty)
    #expect(try LinuxGuest.ticks(of: "SeaBIOS\n").isEmpty)
    #expect(try LinuxGuest.ticks(of: boot).isEmpty)
    let ticks = try LinuxGuest.ticks(of: boot + tick(1) + tick(2) + "tick 3 md")
    #expect(ticks.map(\.count) == [1, 2])
    #expect(ticks[1].sum == String(repeating: "a", count: 32))
    #expect(try LinuxGuest.ticks(of: boot + tick(1, "disk none net none"))[0].disk == "none")
  }

  /// A gap, a repetition, another sum, a bad or vanished device, another line: each is an error.
  @Test func faultsAreErrors() {
    let other = String(repeating: "b", count: 32)
    let faulty = [
      tick(2), tick(1) + tick(3), tick(1) + tick(1), tick(1) + tick(2, sum: other),
      tick(1, "disk bad net ok"), tick(1, "disk ok net bad"), tick(1) + tick(2, "disk none net ok"),
      tick(1) + tick(2, "disk ok net none"), tick(1) + "Kernel panic\n", tick(1, sum: "a"),
    ]
    for text in faulty {
      #expect(throws: HarnessError.self, "\(text)") { try LinuxGuest.ticks(of: boot + text) }
    }
  }
}
