import LinuxIO
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage
import Testing

/// Each message is a whole sentence with the place, what was found, and what to do.
@Suite struct QMPMessageTests {
  static let messages: [(QMPError, String)] = [
    (
      .refused(command: "stop", errorClass: "GenericError", description: "not now"),
      "QEMU refused stop: not now."
    ),
    (
      .refused(command: "x", errorClass: "CommandNotFound", description: "x is not there."),
      "QEMU refused x: x is not there. This version of QEMU does not have it (CommandNotFound)."
    ),
    (
      .refused(command: "x", errorClass: "DeviceNotFound", description: "d"),
      "QEMU refused x: d. (DeviceNotFound)"
    ),
    (
      .timedOut(command: "stop", "/run/qmp", after: .milliseconds(1050)),
      "/run/qmp: QEMU did not answer stop within 1.05 s. It may be waiting for a slow disk: check "
        + "the VM, then try again."
    ),
    (
      .closed(command: "stop", "/run/qmp"),
      "/run/qmp: QEMU closed the connection before it answered stop. It has probably ended: see "
        + "its log."
    ),
    (
      .closed(command: nil, "/run/qmp"),
      "/run/qmp: QEMU closed the connection. It has probably ended: see its log."
    ),
    (
      .noGreeting("/run/qmp", after: .seconds(10)),
      "/run/qmp: no QMP greeting within 10 s. QEMU serves one client at a time, and another is "
        + "probably connected: close that one, or give QEMU a second socket (-qmp "
        + "unix:PATH,server=on,wait=off)."
    ),
    (
      .notQMP("/run/qmp", found: "a\"b"),
      "/run/qmp: found \"a\\\"b\" where QMP's greeting was expected. Give a socket of -qmp or -mon "
        + "mode=control."
    ),
    (
      .malformed("/run/qmp", .text(JSONError(.badString, at: 5))),
      "/run/qmp: invalid QMP from QEMU: byte 5: the text is not JSON: a string has bytes or "
        + "escapes that are not allowed."
    ),
    (
      .malformed("/run/qmp", .shape(found: "[]")),
      "/run/qmp: invalid QMP from QEMU: found \"[]\"; expected an object with return, error "
        + "or event."
    ),
    (
      .malformed("/run/qmp", .tooLong(limit: 100)),
      "/run/qmp: invalid QMP from QEMU: it has more than 100 bytes."
    ),
    (
      .unexpectedAnswer(command: "x", place: "return.a", expected: "a string"),
      "QEMU's answer to x is not as expected: return.a is not a string. This version of QEMU may be "
        + "too old or too new."
    ),
    (
      .system(
        SystemCallError(call: .connect, errno: .connectionRefused, subject: .socket("/run/qmp"))),
      "/run/qmp: cannot connect: Connection refused. No process listens on this socket. Is QEMU still running?"
    ),
  ]

  @Test(arguments: messages) func messageIsAsExpected(error: QMPError, text: String) {
    #expect(error.description == text)
  }

  static let obstacles: [(CaptureObstacle, String)] = [
    (
      .blocked(reason: "non-migratable device: x"),
      "QEMU cannot migrate this VM: non-migratable device: x."
    ),
    (.migrating(.active), "A migration is in progress (active)."),
    (.runState(.inMigrate), "QEMU itself is moving the VM's memory (inmigrate)."),
    (
      .iterableState(target: "ppc64", machineType: "pseries-10.0"),
      "A pseries-10.0 of ppc64 has state besides RAM that only QEMU can save."
    ),
    (
      .vfioDevice("/machine/peripheral/v", type: "vfio-pci"),
      "The device /machine/peripheral/v (vfio-pci) has state that only QEMU can save."
    ),
    (
      .capability("x-colo"), "The migration capability x-colo is on, which only QEMU supports."
    ),
    (.missingCommand("x"), "This QEMU does not have the command x."),
  ]

  @Test(arguments: obstacles) func obstacleIsASentence(obstacle: CaptureObstacle, text: String) {
    #expect(obstacle.description == text)
  }
}
