import SystemPackage

/// How the kernel accounts for memory that is mapped and not yet used (proc_sys_vm(5), overcommit_memory).
package enum MemoryOvercommit {
  /// Whether every private mapping that can be written counts in full, whatever the program says (mode 2).
  package static var isStrict: Bool {
    let lines = try? ProcessText.lines(of: "/proc/sys/vm/overcommit_memory")
    return lines?.first?.first == UInt8(ascii: "2")
  }
}
