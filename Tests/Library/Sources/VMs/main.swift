import QEMUControl

// If this process is killed, a watchdog resumes the VM: the command mapped-ram, found in PATH.
var save = VMSave(to: "vm.img")
save.afterwards = .quit
let saved = try save.run(QMPConnection(connecting: "/run/vm/qmp.sock"))
print("paused for", saved.pause ?? .zero)

// Into a QEMU that waits with -incoming defer.
let restored = try VMRestore().run(
  RestoreSource("vm.img"), into: QMPConnection(connecting: "/run/other/qmp.sock"))
print(restored.state)
