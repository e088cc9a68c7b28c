import QEMUControl
import SystemPackage

/// One run of `inspect` on a running VM, apart from the command line and the terminal.
struct VMInspectRun {
  var socket: FilePath
  var processID: Int32?
  var json: Bool
  /// Takes data.
  let output: (String) -> Void

  /// Inspects the VM.
  ///
  /// - Throws: where QEMU cannot be reached.
  func callAsFunction() throws(CommandError) {
    let inspection = try CommandError.vm(to: nil) { () throws(VMError) in
      try VMInspection(of: try VMConnection.open(socket), processID: processID)
    }
    if json {
      output(JSONText.document(VMInspectJSON(inspection, at: socket)))
    } else {
      VMSummaryText(socket: socket, inspection: inspection, output: output).write()
    }
  }
}
