/// Finds what a description says of the sections of type FULL, which are asked for in the order of the stream.
///
/// A description lists devices in the order of their sections. A device has one section in what QEMU writes; where a description lists
/// one several times, each of its sections is what the next entry says, and those behind are as the last.
package struct DescribedSections: Sendable {
  private struct Entries {
    var indices: [Int]
    var taken = 0
  }

  private var entries: [DeviceIdentity: Entries] = [:]

  /// The sections of `devices`, of which none has been asked for.
  ///
  /// - Complexity: O(devices).
  package init(of devices: [DescribedDevice]) {
    for (index, device) in devices.enumerated() {
      let key = DeviceIdentity(device.name, instanceID: device.instanceID)
      entries[key, default: Entries(indices: [])].indices.append(index)
    }
  }

  /// Which of the devices the next section of `identity` is; `nil` for one that the description does not have.
  package mutating func next(_ identity: SectionIdentity) -> Int? {
    let key = DeviceIdentity(identity.idstr, instanceID: identity.instanceID)
    guard let found = entries[key] else { return nil }
    let place = min(found.taken, found.indices.count - 1)
    entries[key]?.taken = place + 1
    return found.indices[place]
  }
}
