import QEMUControl
import Testing

@Test("A refusal has QEMU's own class and text") func refusal() {
  let error = QMPError.refused(
    command: "stop", errorClass: "GenericError", description: "not now")
  guard case .refused(_, let errorClass, let description) = error else {
    Issue.record("\(error)")
    return
  }
  #expect(errorClass == "GenericError")
  #expect(description == "not now")
}
