import LinuxIO
package import MappedRAM
package import MappedRAMFormat
package import SystemPackage

/// What is measured: the engine of save and restore with the memory of made-up guests, and whom against.
package struct Bench: Sendable {
  /// Where files are written. Nothing is left there.
  package var directory: FilePath
  /// The guests, one after the other.
  package var guests: [Guest]
  /// Where their memory is.
  package var memory: BenchMemoryKind
  /// How the engine is to work: each is measured.
  package var options: [ChannelOptions]
  /// The layouts of the images: each is measured. `nil` for the one that a save has of itself.
  package var layouts: [SlotLayout?] = [nil]
  /// How often everything is measured.
  package var rounds: Int
  /// Whether fio is measured as well.
  package var withFio = false
  /// The QEMU that has the guest, and is measured as well; `nil` where the guest is in memory alone.
  package var qemu: QEMU?

  /// A guest by the name of its mixture of pages.
  package struct Guest: Sendable {
    package var mix: String
    package var pattern: SyntheticPattern

    /// A guest of its parts.
    package init(mix: String, pattern: SyntheticPattern) {
      (self.mix, self.pattern) = (mix, pattern)
    }
  }

  /// A QEMU to be measured.
  package struct QEMU: Sendable {
    /// The program: a path, or a name in PATH.
    package var program: String
    /// Numbers of multifd channels: each is measured.
    package var channels: [Int]

    /// A QEMU of its parts.
    package init(program: String, channels: [Int]) {
      (self.program, self.channels) = (program, channels)
    }
  }

  /// A measurement against nobody.
  ///
  /// - Precondition: there are options.
  package init(
    in directory: FilePath, guests: [Guest], memory: BenchMemoryKind, options: [ChannelOptions],
    rounds: Int
  ) {
    precondition(!options.isEmpty, "options")
    self.directory = directory
    self.guests = guests
    self.memory = memory
    self.options = options
    self.rounds = rounds
  }
}

/// What a measurement found.
package struct BenchResult: Sendable {
  /// In the order of their first samples.
  package var rows: [BenchRow]
  /// What went other than asked for, each once.
  package var notes: [BenchNote]
}

extension Bench {
  /// The program that measures: it holds memory when it is called with `GuestHolder.verb`, and watches over saves when it is called with
  /// `VMWatchdog.verb`.
  static let thisProgram = "/proc/self/exe"

  /// Makes sure that the programs that are measured beside the engine are there, as far as that is known without starting a VM.
  ///
  /// - Throws: `noProgram`.
  package func requirePrograms() throws(BenchError) {
    if withFio { try FioContestant.require() }
  }

  /// Measures.
  ///
  /// - Parameters:
  ///   - facts: those of `directory`.
  ///   - show: shows the progress of transfers.
  /// - Throws: the first error; nothing is left in the directory.
  package func run(
    _ facts: BenchFacts, cancellation: Cancellation,
    show: @escaping BenchSession.Show
  ) throws(BenchError) -> BenchResult {
    let session = BenchSession(in: directory, cancellation: cancellation, show: show)
    for guest in guests {
      var contestants = try contestants(guest, facts, session)
      for round in 0..<rounds {
        // Each round begins with another one, so that nobody is always behind the same one.
        for place in contestants.indices {
          let index = (place + round) % contestants.count
          try session.check()
          try contestants[index].measure(session)
        }
      }
    }
    return BenchResult(rows: session.rows, notes: session.notes)
  }

  private func contestants(
    _ guest: Guest, _ facts: BenchFacts, _ session: BenchSession
  ) throws(BenchError) -> [any BenchContestant] {
    let (mix, pattern) = (guest.mix, guest.pattern)
    var all: [any BenchContestant] = []
    // The others get direct I/O wherever ours has it.
    let isDirect = facts.directIO.isActive && !options.contains { $0.directIO == .off }
    if let qemu {
      let vm = try GuestInVM(
        mix, pattern,
        BenchVM.Configuration(
          program: qemu.program, byteCount: pattern.byteCount, isShared: memory == .shared,
          firmware: try GuestFirmware(.halted)),
        session)
      all += layouts.flatMap { layout in
        options.map { CaptureContestant(vm, $0, layout) }
      }
      all += qemu.channels.map { QEMUContestant(vm: vm, channels: $0, isDirect: isDirect) }
    } else {
      let memory = try GuestInMemory(pattern, memory, session)
      all += layouts.flatMap { layout in
        options.map {
          EngineContestant(mix: mix, guest: memory, options: $0, layout: layout)
        }
      }
    }
    guard withFio || qemu != nil else { return all }
    if withFio, pattern.presentBytes > 0 {
      let bytes = pattern.presentBytes
      all += FioContestant.variants.map {
        FioContestant(
          mix: mix, byteCount: bytes, isDirect: isDirect, blockBytes: $0.blockBytes,
          depth: $0.depth)
      }
      all.append(try DirectoryContestant(mix, pattern, options[0], session))
    }
    all.append(MemoryContestant(mix, guestBytes: pattern.byteCount))
    return all
  }
}
