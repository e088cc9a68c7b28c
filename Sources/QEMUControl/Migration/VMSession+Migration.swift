import LinuxIO
import MappedRAM
import MappedRAMFormat
import QMP

/// Migration capabilities and parameters that are changed, as they were and as they are set.
struct ChangedSettings: Equatable, Sendable {
  /// The capabilities as they were; each is turned.
  var capabilities: [String: Bool] = [:]
  /// The parameters as they were.
  var parameters: [String: JSONValue] = [:]
  /// The parameters as they are set.
  var wanted: [String: JSONValue] = [:]

  /// Whether nothing is changed.
  var isEmpty: Bool { capabilities.isEmpty && parameters.isEmpty }
}

extension ChangedSettings {
  /// Capabilities that do not change what a migration to or from a file does, or that are the user's to decide: they stay.
  static let kept: Set<String> = [
    "events", "validate-uuid", "dirty-bitmaps", "late-block-activate",
  ]

  /// What is to be changed so that exactly the capabilities `names` are on (but those that do not matter here stay), and the parameters
  /// among `values` that this QEMU has are set. Nothing is changed yet.
  ///
  /// - Parameters:
  ///   - vm: what QEMU said of its settings.
  ///   - kept: capabilities that stay on if they are.
  ///   - touched: parameters among `values` that are changed later on, so that they have to be put back in any case.
  init(
    of vm: RunningVM, capabilities names: [String], keeping kept: Set<String> = Self.kept,
    parameters values: [String: JSONValue] = [:], touched: Set<String> = []
  ) {
    let wanted = Set(names)
    capabilities = vm.capabilities.filter { name, state in
      wanted.contains(name) != state && !(state && kept.contains(name))
    }
    let parameters = vm.parameters.filter { name, value in
      values[name].map { $0 != value || touched.contains(name) } ?? false
    }
    self.parameters = parameters
    self.wanted = values.filter { parameters[$0.key] != nil }
  }
}

extension VMSession {
  /// Changes migration settings as planned.
  ///
  /// Capabilities come first: QEMU refuses them while another client's migration is under way, whose parameters must not be changed.
  func apply(_ settings: ChangedSettings) throws(VMError) {
    note { $0.settings = settings }
    if !settings.capabilities.isEmpty {
      do throws(VMError) {
        try execute(.setMigrationCapabilities(settings.capabilities.mapValues { !$0 }))
      } catch {
        // Then nothing is changed: what is as we wanted it was set by another client.
        if case .qmp(.refused) = error { note { $0.settings = nil } }
        throw error
      }
    }
    if !settings.parameters.isEmpty { try execute(.setMigrationParameters(settings.wanted)) }
  }

  /// Hands QEMU `file` as descriptors, for one purpose: it needs no right to open a path itself.
  ///
  /// QEMU chooses the descriptor whose access mode, and whose O_DIRECT, are those that it wants (source: observed on QEMU 10.0.2). One
  /// file at a time.
  ///
  /// - Parameter direct: whether there is a descriptor with O_DIRECT as well. QEMU 10.0.2 crashes where `direct-io` is on and there is
  ///   none.
  /// - Returns: the file's name for QEMU.
  func lend(
    _ file: File, for purpose: File.Purpose, direct: Bool = false
  ) throws(VMError) -> String {
    let set = QEMUDescriptor.newSet()
    note { $0.descriptorSet = set }
    for isDirect in direct ? [false, true] : [false] {
      let descriptor: OwnedDescriptor
      do throws(SystemCallError) {
        descriptor = try file.openAgain(for: purpose, direct: isDirect)
      } catch {
        throw .image(.system(error))
      }
      _ = try execute(.addDescriptor(descriptor.rawValue, to: set, note: "mapped-ram"))
    }
    return QEMUDescriptor(set: set, number: 0).path
  }

  /// Takes back the file that QEMU was handed, or leaves it to the way back.
  func takeBackFile() {
    guard let sent = try? sendTakingBackFile() else { return }
    hasTakenBackFile(sent)
  }

  /// Begins to take back the file that QEMU was handed, if it was, without waiting.
  func sendTakingBackFile() throws(VMError) -> SentCommand<Void>? {
    guard let set = journal.descriptorSet else { return nil }
    return try send(.removeDescriptor(set: set))
  }

  /// Waits until the file is taken back, or leaves it to the way back.
  func hasTakenBackFile(_ sent: SentCommand<Void>) {
    do throws(VMError) {
      try answer(to: sent)
    } catch {
      guard case .qmp(.refused) = error else { return }
    }
    note { $0.descriptorSet = nil }
  }
}
