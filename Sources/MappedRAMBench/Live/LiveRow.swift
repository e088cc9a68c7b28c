package import MappedRAMFormat

/// One kind of save of one running guest: a row of the report of live saves.
package struct LiveRow: Sendable {
  /// What makes it another row than others.
  package var key: Key
  /// Bytes of the guest's memory.
  package var ramBytes: UInt64
  /// In the order in which they were taken.
  package var samples: [LiveSample] = []
  /// How often it was not done within the time that it had.
  package var timeouts = 0
  /// Why it was not done at all, in the words of whoever refused it.
  package var failure: String?
  /// Pages of so many bytes the guest changed in a second, right before each save.
  package var dirtyRates: [Double] = []

  /// What makes it another row than others.
  package struct Key: Equatable, Sendable {
    /// The name of the mixture of pages.
    package var mix: String
    /// Bytes of the guest's memory.
    package var ramBytes: UInt64
    /// What the guest was told to change.
    package var dirtyRate: DirtyRate
    /// How it was saved.
    package var way: Way
    /// The layout that was asked for; `nil` for that of whoever saves.
    package var layout: SlotLayout?
  }

  /// How a running VM is saved.
  package enum Way: String, CaseIterable, Sendable {
    /// Our capture of the VM, paused for all of it.
    case stopped
    /// Our live capture by a snapshot.
    case snapshot
    /// Our live capture in rounds.
    case rounds
    /// QEMU's own live save into a mapped-ram file.
    case qemu
    /// QEMU's own background snapshot into a file: a plain stream.
    case qemuSnapshot = "qemu-snapshot"

    /// Whether it is ours.
    package var isOurs: Bool { [.stopped, .snapshot, .rounds].contains(self) }
  }
}

/// One live save, as it was measured.
package struct LiveSample: Equatable, Sendable {
  /// From its start to its durable end.
  package var seconds: Double
  /// How long the VM was paused.
  package var downtimeSeconds: Double?
  /// Bytes that were written to the file.
  package var writtenBytes: UInt64?
  /// Processor time of this process.
  package var cpuSeconds: Double
  /// Processor time of QEMU, without that of the guest itself.
  package var qemuCPUSeconds: Double
  /// Passes of the guest in a second during the save, as a part of those right before it.
  package var guestSpeed: Double
  /// Bytes of pages that the guest changed in a second during the save.
  package var dirtyBytesPerSecond: Double
  /// Rounds while the VM ran.
  package var rounds: Int?
  /// Pages that QEMU sent to us.
  package var sentPages: UInt64?
  /// Whether the rounds brought the downtime that was expected below its limit; `nil` where there are no rounds of ours.
  package var isConverged: Bool?
  /// Whether the downtime was within its limit; `nil` where there is none.
  package var isWithinDowntimeLimit: Bool?
}

extension LiveRow {
  /// Numbers of all samples that have them; `nil` where none has.
  package func spread(_ number: (LiveSample) -> Double?) -> Spread? {
    let numbers = samples.compactMap(number)
    return numbers.isEmpty ? nil : Spread(numbers)
  }

  /// All processor time but the guest's own, for 2^30 bytes of the guest's memory.
  package var cpuSecondsPerGiB: Spread? {
    spread { ($0.cpuSeconds + $0.qemuCPUSeconds) / (Double(ramBytes) / Double(1 << 30)) }
  }

  /// The row of the stopped save of the same guest, among `rows`.
  package func stopped(among rows: [LiveRow]) -> LiveRow? {
    func find(_ layout: SlotLayout?) -> LiveRow? {
      var key = key
      (key.way, key.layout) = (.stopped, layout)
      return rows.first { $0.key == key && !$0.samples.isEmpty }
    }
    return find(key.layout)
      ?? rows.first {
        $0.key.way == .stopped && $0.key.mix == key.mix && $0.key.ramBytes == key.ramBytes
          && $0.key.dirtyRate == key.dirtyRate && !$0.samples.isEmpty
      }
  }

  /// Its median time as a multiple of that of the stopped save of the same guest; `nil` where one of them is not known.
  package func timeOfStopped(among rows: [LiveRow]) -> Double? {
    guard let ours = spread(\.seconds), let other = stopped(among: rows)?.spread(\.seconds) else {
      return nil
    }
    return ours.median / max(other.median, 1e-9)
  }
}
