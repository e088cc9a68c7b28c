import MappedRAMFormat
public import QMP

extension QMPCommand<QEMUDescriptor> {
  /// `add-fd`: gives QEMU a descriptor, in a set that it can open as `/dev/fdset/N`. From a set QEMU
  /// takes the descriptor with the access mode (O_RDONLY, O_WRONLY, O_RDWR) that it needs.
  ///
  /// - Parameters:
  ///   - descriptor: stays the caller's; QEMU has its own afterwards.
  ///   - set: the set to add it to; `nil` for a new one.
  ///   - note: a text that `queryDescriptorSets` shows.
  public static func addDescriptor(
    _ descriptor: CInt, to set: UInt64? = nil, note: String? = nil
  ) -> Self {
    Self(
      "add-fd",
      .members(["fdset-id": set.map(JSONValue.count), "opaque": note.map(JSONValue.string)]),
      passing: [descriptor]
    ) { answer throws(QMPError) in
      QEMUDescriptor(
        set: try answer.member("fdset-id").unsigned(), number: try answer.member("fd").unsigned())
    }
  }
}

/// A descriptor in a set of QEMU's.
package struct QEMUDescriptor: Equatable, Sendable {
  /// The set.
  package var set: UInt64
  /// The descriptor's number in QEMU.
  package var number: UInt64

  /// A set that no other client uses, and that is known before QEMU has it: others leave the choice to QEMU, which counts from 0.
  package static func newSet() -> UInt64 { .random(in: 1 << 24..<1 << 31) }

  /// The name by which QEMU opens a descriptor of the set.
  package var path: String { "/dev/fdset/\(set)" }
}

extension QMPCommand<[UInt64: [String]]> {
  /// `query-fdsets`: the numbers of the sets, with the notes of their descriptors.
  public static var queryDescriptorSets: Self {
    Self("query-fdsets") { answer throws(QMPError) in
      var sets: [UInt64: [String]] = [:]
      for set in try answer.elements() {
        sets[try set.member("fdset-id").unsigned()] = try set.member("fds")
          .map { descriptor throws(QMPError) in try descriptor.optional("opaque")?.string() ?? "" }
      }
      return sets
    }
  }
}

extension QMPCommand<Void> {
  /// `remove-fd`: takes the descriptor with QEMU's number `number`, or with `nil` all, out of a
  /// set. QEMU closes them when it has no use for them any more.
  public static func removeDescriptor(set: UInt64, number: UInt64? = nil) -> Self {
    Self("remove-fd", .members(["fdset-id": .count(set), "fd": number.map(JSONValue.count)]))
  }

  /// `getfd`: gives QEMU a descriptor, which stays the caller's, with a name for commands that
  /// take one. It keeps it, also when this connection has ended. The name does not begin with a digit.
  public static func getDescriptor(_ descriptor: CInt, named name: String) -> Self {
    Self("getfd", ["fdname": .string(name)], passing: [descriptor])
  }

  /// `closefd`: has QEMU close a descriptor that has a name and was not used.
  public static func closeDescriptor(named name: String) -> Self {
    Self("closefd", ["fdname": .string(name)])
  }
}
