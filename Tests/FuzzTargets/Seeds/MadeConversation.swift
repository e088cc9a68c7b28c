/// What a QEMU says that is asked for all that there is to know of its VM.
enum MadeConversation {
  static var seeds: [FuzzSeed] { [FuzzSeed("whole", Array(numbered(answers).utf8))] }

  /// A line for each answer, with the number of the command; lines that are no answers stand between them.
  private static func numbered(_ answers: [String]) -> String {
    var text = ""
    for (index, answer) in answers.enumerated() {
      if index == 2 { text += event }
      text += "{\"return\": \(answer), \"id\": \(index + 1)}\r\n"
    }
    return text
  }

  private static let event =
    "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"STOP\"}\r\n"

  private static let version =
    #"{"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "Debian"}"#

  /// In the order of the commands.
  private static let answers = [
    "{}", version, #"{"name": "vm"}"#, #"{"UUID": "01020304-0506-0708-090a-0b0c0d0e0f10"}"#,
    #"[{"label": "charmonitor", "filename": "unix:x", "frontend-open": true}]"#,
    #"{"arch": "x86_64"}"#, #""pc-q35-10.0-machine""#,
    #"{"status": "running", "running": true}"#,
    #"[{"thread-id": 11, "cpu-index": 0, "qom-path": "/machine/unattached/device[0]"}]"#,
    #"[{"type": "dimm", "data": {"id": "d", "memdev": "/objects/m", "size": 16777216}}]"#, disks,
    #"[{"capability": "mapped-ram", "state": true}, {"capability": "multifd", "state": false}]"#,
    #"{"multifd-channels": 2, "tls-creds": "", "direct-io": false}"#, migration,
    #"[{"name": "vda", "type": "child<virtio-blk-pci>"}]"#,
    #"[{"name": "device[0]", "type": "child<vfio-pci>"}, {"name": "type", "type": "string"}]"#,
    #"[{"name": "stop"}, {"name": "cont"}, {"name": "xen-save-devices-state"}]"#,
    "{\"human-readable-text\": \"\(table)\"}",
    #"[{"id": "m", "size": 16777216, "share": true}, {"size": 1}]"#,
    #""memory-backend-file""#, #""/dev/shm/vm""#, "0",
    "{}", "\"\(table)\"", "{}",
  ]

  private static let table =
    #"Block Name    PSize  Offset  Used  Total  HVA  RO\n"#
    + #"  m    4 KiB  0x0000000000000000 0x0000000001000000 0x0000000001000000 0x00007f770be00000  rw\n"#
    + #"  /rom@etc/acpi/tables    4 KiB  0x5180000 0x20000 0x200000 0x7f770a800000  ro\n"#

  private static let disks =
    #"[{"device": "", "qdev": "/machine/peripheral/vda/virtio-backend", "removable": false, "#
    + #""inserted": {"node-name": "n", "file": "/a.qcow2", "drv": "qcow2", "ro": false, "#
    + #""image": {"virtual-size": 1048576, "filename": "/a.qcow2"}}}, {"device": "cd", "removable": true}]"#

  private static let migration =
    #"{"status": "active", "total-time": 5, "expected-downtime": 300, "blocked-reasons": ["x"], "#
    + #""ram": {"transferred": 1, "remaining": 2, "total": 3, "normal": 4, "duplicate": 5, "#
    + #""dirty-sync-count": 1, "dirty-pages-rate": 7, "page-size": 4096}}"#
}
