import LinuxIO
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport
import Testing

/// Commands and answers, with a fake QEMU at the other end.
@Suite struct QMPExecuteTests {
  @Test func anAnswerIsGivenToItsCommand() throws {
    try withConnection { qemu in
      let request = try #require(try qemu.answer(["status": "running"]))
      #expect(request["execute"] == "query-status")
      #expect(request["arguments"] == nil)
      let second = try #require(try qemu.answer(5))
      #expect(second["arguments"] == ["path": "/machine", "n": 1])
      #expect(second["id"] != request["id"])
    } client: { connection throws in
      #expect(try connection.execute("query-status") == ["status": "running"])
      #expect(try connection.execute("qom-get", arguments: ["path": "/machine", "n": 1]) == 5)
    }
  }

  @Test func aRefusalHasQEMUsOwnClassAndText() throws {
    try withConnection { qemu in
      let request = try #require(try qemu.request())
      qemu.send(FakeQEMU.failure("GenericError", "not now", to: request))
      try qemu.answer()
    } client: { connection throws in
      let error = thrown { _ = try connection.execute("stop") }
      #expect(
        error == .refused(command: "stop", errorClass: "GenericError", description: "not now"))
      #expect(try connection.execute("stop") == [:])
    }
  }

  @Test func whateverIsNotTheAnswerIsPassedOver() throws {
    try withConnection { qemu in
      try qemu.answer(
        7,
        before: #"""
          {"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}
          {"return": 1, "id": "another's"}
          {"return": 2}

          {"error": {"class": "GenericError", "desc": "JSON parse error"}}
          {"error": {"class": "GenericError", "desc": "x"}, "id": 0}

          """#,
        after: #"{"event":"RESUME","data":{"a":1},"future":[]}"# + "\n")
    } client: { connection throws in
      #expect(try connection.execute("any") == 7)
      let resumed = try connection.waitForEvent(["RESUME"], deadline: .now + .seconds(20))
      #expect(resumed == QMPEvent(name: "RESUME", data: ["a": 1]))
      #expect(try connection.takeEvents() == [QMPEvent(name: "STOP", microseconds: 1_000_002)])
    }
  }
}
