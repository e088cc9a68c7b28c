import QEMUControl

extension BlockMemory.Route {
  /// What was done with memory of this kind.
  var text: String {
    switch self {
    case .process:
      "copied from QEMU's process (process_vm_readv), where it is private or of huge pages"
    case .file(let path): "read from the shared memory that QEMU has it in (\(path))"
    }
  }

  /// A name for programs.
  var name: String {
    switch self {
    case .process: "process"
    case .file: "sharedFile"
    }
  }
}
