extension QEMUCommandLine {
  /// The Unix sockets at which the arguments make QEMU listen, each with its option.
  package var serverSockets: [(option: String, path: String)] {
    var found: [(option: String, path: String)] = []
    for option in options {
      guard let value = option.value else { continue }
      switch option.name {
      case "qmp", "qmp-pretty", "monitor", "serial", "parallel", "debugcon", "gdb", "vnc", "qtest":
        guard let path = Self.unixServer(value, isServer: option.name == "vnc") else { continue }
        found.append((option.spelling, path))
      case "chardev", "netdev", "nic", "spice":
        guard let properties = QEMUProperties(value, impliedKey: Self.impliedKey(option.name)),
          let path = Self.unixServer(properties, of: option.name)
        else { continue }
        found.append((option.spelling, path))
      default: break
      }
    }
    return found
  }

  private static func impliedKey(_ option: String) -> String {
    switch option {
    case "chardev": "backend"
    case "netdev", "nic": "type"
    default: "port"
    }
  }

  /// The path in `unix:PATH,server=on`, also behind `mon:`; of a `vnc` socket, which is a server in any case, in `unix:PATH`.
  private static func unixServer(_ value: String, isServer: Bool) -> String? {
    var value = value[...]
    if value.hasPrefix("mon:") { value = value.dropFirst(4) }
    let prefix = "unix:"
    guard value.hasPrefix(prefix),
      let properties = QEMUProperties(String(value.dropFirst(prefix.count)), impliedKey: "path"),
      isServer || properties.isServer
    else { return nil }
    return properties["path"]
  }

  private static func unixServer(_ properties: QEMUProperties, of option: String) -> String? {
    switch option {
    case "chardev":
      properties["backend"] == "socket" && properties.isServer ? properties["path"] : nil
    case "spice": properties["unix"] == "on" ? properties["addr"] : nil
    default:
      properties["type"] == "stream" && properties.isServer && properties["addr.type"] == "unix"
        ? properties["addr.path"] : nil
    }
  }
}

extension QEMUProperties {
  /// `server`, `server=on` or, as QEMU took it before 6.0, `server=yes`.
  fileprivate var isServer: Bool { ["on", "yes", "true", "y"].contains(self["server"]) }
}
