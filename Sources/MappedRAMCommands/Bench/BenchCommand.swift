import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// `mapped-ram bench`: measures the engine on a file system.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure how fast images are written and read in a directory.",
    usage: "mapped-ram bench [<options>] <directory>",
    discussion: """
      Writes an image of a made-up guest with the engine of save, reads it back into fresh memory with the engine of restore, \
      compares every byte, and prints how fast each went and what it cost. The image is durable before the clock of \
      the writing stops. It has no name, so nothing is ever left in the directory, whatever ends this command; but with --against \
      fio there are files of names that begin with mapped-ram-bench, which a kill -9 leaves. The guest's memory is filled before, \
      and compared after, the clock runs.

      Options with several values, as in --channels 1,2,4, are measured in every combination, in turns: each round \
      measures everything once. The table has the median of the rounds, and the least and the greatest time. Where direct I/O \
      is not possible, the file is dropped from the page cache before it is read.

      EXAMPLES:
        mapped-ram bench /var/lib/libvirt/images
        mapped-ram bench . --size 4G --mix random,zero-runs,alternate
        mapped-ram bench . --channels 1,2,4 --queue-depth 8,32 --repeat 3 --json

      \(ExitStatus.help([
        .success: "the images came back as they were written",
        .negative: "--compare: a rate fell below --fail-below",
        .badData: "--compare: the file is no report of bench, or of another machine or guest",
        .unavailable: "direct I/O was required and is refused, memory is short, or fio or QEMU is not there",
        .ioError: "I/O error, or an image came back with other bytes",
        .cannotCreate: "no file can be made in the directory",
      ], besides: [.incomplete]))
      """)

  @Argument(
    help: "Where the image is written. Nothing is left there.", completion: .directory,
    transform: { FilePath($0) })
  var directory: FilePath

  @OptionGroup(title: "Guest") var guest: BenchGuest
  @OptionGroup(title: "Measurement") var rounds: BenchRounds
  @OptionGroup(title: "Expert options") var sweep: BenchSweep
  @OptionGroup(title: "Report") var form: BenchOutput
  @OptionGroup(title: "Common options") var output: OutputArguments

  func validate() throws {
    if rounds.against.contains(.qemu) {
      guard guest.size.byteCount % (1 << 20) == 0 else {
        throw ValidationError(
          "--size is \(guest.size); with --against qemu it is a multiple of 1M.")
      }
      guard guest.memory != .made else {
        throw ValidationError("--memory made is not for --against qemu: the guest is QEMU's.")
      }
    }
  }

  func run() throws {
    var hasFallen = false
    try CommandRun.perform(output) { (run) throws(CommandError) in
      let old = try form.old()
      var report = try measure(run) { (report) throws(CommandError) in
        guard let old, let path = form.compare else { return }
        try BenchComparison.require(BenchJSON(report), comparableWith: old, at: path)
      }
      if form.explain {
        report.explanations = BenchExplanation.all(
          of: report.rows, processors: report.facts.processors)
      }
      try form.draw(report)
      report.comparison = try form.compared(report, with: old)
      hasFallen = report.comparison.map { !$0.falls.isEmpty } ?? false
      return report
    }
    if hasFallen { throw ExitCode(ExitStatus.negative.rawValue) }
  }

  /// - Parameter check: is given the report without rows, before anything is measured.
  private func measure(
    _ run: CommandRun, _ check: (BenchReport) throws(CommandError) -> Void
  ) throws(CommandError) -> BenchReport {
    let session = BenchSession(run, directory: directory)
    let facts = try BenchFacts(of: directory)
    if rounds.against.contains(.fio) { try FioContestant.require() }
    let seed = guest.seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
    var report = BenchReport(
      directory: directory, guest: guest, seed: seed, rounds: rounds.count, rows: [], notes: [],
      facts: facts)
    try check(report)
    for mix in guest.mixes {
      let pattern = mix.pattern(
        byteCount: guest.size.byteCount, entropy: guest.entropy, seed: seed)
      var contestants = try contestants(mix, pattern, facts, session)
      for round in 0..<rounds.count {
        // Each round begins with another one, so that nobody is always behind the same one.
        for place in contestants.indices {
          let index = (place + round) % contestants.count
          try session.check()
          try contestants[index].measure(session)
        }
      }
    }
    report.rows = session.rows
    report.notes = session.notes
    return report
  }

  private func contestants(
    _ mix: BenchMix, _ pattern: SyntheticPattern, _ facts: BenchFacts, _ session: BenchSession
  ) throws(CommandError) -> [any BenchContestant] {
    var all: [any BenchContestant] = []
    let combinations = sweep.combinations
    if rounds.against.contains(.qemu) {
      let isDirect = facts.directIO == "active" && !sweep.directIO.elements.contains(.off)
      let vm = try GuestInVM(
        mix, pattern,
        BenchVM.Configuration(
          program: rounds.qemu, byteCount: guest.size.byteCount,
          isShared: guest.memory == .shared, firmware: try HaltedFirmware()),
        session)
      all += combinations.map { CaptureContestant(vm, $0) }
      all += rounds.qemuChannels.elements.map {
        QEMUContestant(vm: vm, channels: $0, isDirect: isDirect)
      }
    } else {
      let memory = try GuestInMemory(pattern, guest.memory, session)
      all += combinations.map {
        EngineContestant(mix: mix, guest: memory, options: $0)
      }
    }
    guard !rounds.against.isEmpty else { return all }
    if rounds.against.contains(.fio), pattern.presentBytes > 0 {
      let isDirect = facts.directIO == "active" && !sweep.directIO.elements.contains(.off)
      let bytes = pattern.presentBytes
      all += FioContestant.variants.map {
        FioContestant(
          mix: mix, byteCount: bytes, isDirect: isDirect, blockBytes: $0.blockBytes,
          depth: $0.depth)
      }
      all.append(try DirectoryContestant(mix, pattern, combinations[0], session))
    }
    all.append(MemoryContestant(mix, guestBytes: pattern.byteCount))
    return all
  }
}
