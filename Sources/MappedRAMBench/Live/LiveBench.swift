package import MappedRAM
package import MappedRAMFormat
package import SystemPackage

/// What is measured of live saves: guests of several sizes that change memory at several rates, each saved in every way.
package struct LiveBench: Sendable {
  /// Where files are written. Nothing is left there.
  package var directory: FilePath
  /// The guests, one after the other.
  package var guests: [Bench.Guest]
  /// How much memory they change: one after the other in the same VM.
  package var dirtyRates: [DirtyRate]
  /// The layouts of our images; `nil` for the one of a capture.
  package var layouts: [SlotLayout?]
  /// Whether the guest's memory is a file in memory.
  package var isShared: Bool
  /// How the engine works.
  package var options: ChannelOptions
  /// How often everything is measured.
  package var rounds: Int
  /// The QEMU that is started.
  package var program: String
  /// How long one save may take.
  package var timeLimit: Duration

  /// A measurement of its parts.
  package init(
    in directory: FilePath, guests: [Bench.Guest], dirtyRates: [DirtyRate],
    layouts: [SlotLayout?] = [nil], isShared: Bool, options: ChannelOptions, rounds: Int,
    program: String, timeLimit: Duration
  ) {
    (self.directory, self.guests, self.dirtyRates) = (directory, guests, dirtyRates)
    (self.layouts, self.isShared, self.options) = (layouts, isShared, options)
    (self.rounds, self.program, self.timeLimit) = (rounds, program, timeLimit)
  }

  /// The least memory that a guest can have, and of what it is a multiple.
  package static let leastBytes: UInt64 = 16 << 20
  package static let granularity: UInt64 = 1 << 20
  /// The rates that can be asked for: pages of so many bytes in a second.
  package static let rateRange: ClosedRange<UInt64> = 1 << 20...1 << 40

  /// Measures.
  ///
  /// - Parameter show: shows the progress of saves.
  /// - Throws: the first error that is not one save's own; nothing is left in the directory.
  package func run(
    cancellation: Cancellation, show: @escaping BenchSession.Show
  ) throws(BenchError) -> [LiveRow] {
    let session = BenchSession(in: directory, cancellation: cancellation, show: show)
    var rows: [LiveRow] = []
    for guest in guests {
      let vm = try LiveVM(guest, self, session)
      for rate in dirtyRates {
        try vm.change(at: rate)
        let first = rows.count
        for (way, layout) in contestants {
          let key = LiveRow.Key(
            mix: guest.mix, ramBytes: guest.pattern.byteCount, dirtyRate: rate, way: way,
            layout: layout)
          rows.append(LiveRow(key: key, ramBytes: guest.pattern.byteCount))
        }
        let count = rows.count - first
        for round in 0..<rounds {
          // Each round begins with another one, so that nobody is always behind the same one.
          for place in 0..<count {
            let index = first + (place + round) % count
            try session.check()
            try vm.measure(&rows[index], session)
          }
        }
      }
    }
    return rows
  }

  /// Who saves, in turns. Only ours have a choice of layouts.
  private var contestants: [(LiveRow.Way, SlotLayout?)] {
    LiveRow.Way.allCases.flatMap { way in
      way.isOurs ? layouts.map { (way, $0) } : [(way, nil)]
    }
  }
}
