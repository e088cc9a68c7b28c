import Foundation

/// What of a VM must be as before, once another client has worked on it.
package struct VMState: Equatable, CustomStringConvertible {
  /// `running`, `paused`, ….
  package var status: String
  /// Of each migration capability, whether it is on.
  package var capabilities: [String: Bool]
  /// The migration parameters, as JSON with sorted keys.
  package var parameters: String
  /// Of each block node, whether it is active (QEMU >= 10.0 tells).
  package var activeNodes: [String: Bool]
  /// The descriptors that QEMU was handed: the numbers of its sets.
  package var descriptorSets: [Int]

  /// For the test's report: all but the capabilities that are off.
  package var description: String {
    let on = capabilities.filter(\.value).keys.sorted()
    return "\(status), on: \(on), \(parameters), \(activeNodes), sets: \(descriptorSets)"
  }
}

extension QEMU {
  /// The VM's state now.
  package func state() throws -> VMState {
    let capabilities = try list("query-migrate-capabilities").map { entry in
      (entry["capability"] as? String ?? "", entry["state"] as? Bool ?? false)
    }
    let parameters = try JSONSerialization.data(
      withJSONObject: execute("query-migrate-parameters"), options: .sortedKeys)
    let nodes = try list("query-named-block-nodes").compactMap { entry in
      (entry["active"] as? Bool).map { (entry["node-name"] as? String ?? "", $0) }
    }
    return VMState(
      status: try status(),
      capabilities: Dictionary(uniqueKeysWithValues: capabilities),
      parameters: String(decoding: parameters, as: UTF8.self),
      activeNodes: Dictionary(uniqueKeysWithValues: nodes),
      descriptorSets: try list("query-fdsets").compactMap { $0["fdset-id"] as? Int }.sorted())
  }

  /// Switches one migration capability.
  package func setCapability(_ name: String, _ isOn: Bool) throws {
    try execute(
      "migrate-set-capabilities", ["capabilities": [["capability": name, "state": isOn]]])
  }

  /// Plugs a pc-dimm with private memory into a VM with slots, whose block is `id`.
  package func plugDIMM(id: String, mebibytes: Int) throws {
    try execute(
      "object-add", ["qom-type": "memory-backend-ram", "id": id, "size": mebibytes << 20])
    try execute("device_add", ["driver": "pc-dimm", "id": "\(id)-device", "memdev": id])
  }

  private func list(_ command: String) throws -> [[String: Any]] {
    try execute(command) as? [[String: Any]] ?? []
  }
}
