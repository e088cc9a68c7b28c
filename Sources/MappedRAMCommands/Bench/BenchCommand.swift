import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMBench
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

      With --live, live saves are measured in place of all that: a QEMU is started with a guest that changes memory at a given \
      rate, and is saved in turns paused (stopped), live by a snapshot (snapshot), live in rounds (rounds), live by QEMU itself into \
      a mapped-ram file (qemu), and by QEMU's own background snapshot into a plain stream (qemu-snapshot). Nothing is read back.

      EXAMPLES:
        mapped-ram bench /var/lib/libvirt/images
        mapped-ram bench . --size 4G --mix random,zero-runs,alternate
        mapped-ram bench . --channels 1,2,4 --queue-depth 8,32 --repeat 3 --json
        mapped-ram bench . --live --size 1G,4G --dirty-rate 0,50M,200M,max

      \(ExitStatus.help([
        .success: "the images came back as they were written; with --live: all saves were tried",
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
  @OptionGroup(title: "Live saves") var live: BenchLive
  @OptionGroup(title: "Expert options") var sweep: BenchSweep
  @OptionGroup(title: "Report") var form: BenchOutput
  @OptionGroup(title: "Common options") var output: OutputArguments

  func validate() throws {
    try live.check(guest, rounds, sweep, form)
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
    if live.isLive {
      return try CommandRun.perform(output) { (run) throws(CommandError) in
        try measureLive(run)
      }
    }
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
    let facts = try CommandError.measuring { () throws(BenchError) in try BenchFacts(of: directory)
    }
    let seed = guest.seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
    let bench = bench(seed: seed)
    try CommandError.measuring(bench.requirePrograms)
    var report = BenchReport(
      directory: directory, guest: guest, seed: seed, rounds: rounds.count, rows: [], notes: [],
      facts: facts)
    try check(report)
    let result = try CommandError.measuring { () throws(BenchError) in
      try bench.run(facts, cancellation: run.cancellation) {
        (step, progress, transfer) throws(SystemCallError) in
        let reporter = try run.reporter(step.label, progress)
        transfer()
        reporter.finish()
      }
    }
    (report.rows, report.notes) = (result.rows, result.notes)
    return report
  }

  private func measureLive(_ run: CommandRun) throws(CommandError) -> LiveBenchReport {
    let facts = try CommandError.measuring { () throws(BenchError) in try BenchFacts(of: directory)
    }
    let seed = guest.seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
    let bench = live.bench(in: directory, guest, rounds, sweep, seed: seed)
    let rows = try CommandError.measuring { () throws(BenchError) in
      try bench.run(cancellation: run.cancellation) {
        (step, progress, transfer) throws(SystemCallError) in
        let reporter = try run.reporter(step.label, progress)
        transfer()
        reporter.finish()
      }
    }
    return LiveBenchReport(
      directory: directory, seed: seed, bench: bench, rows: rows, facts: facts,
      explains: form.explain)
  }

  /// What is measured, once the options have been validated.
  private func bench(seed: UInt64) -> Bench {
    var bench = Bench(
      in: directory, guests: guest.guests(seed: seed), memory: guest.memory,
      options: sweep.combinations, rounds: rounds.count)
    bench.layouts = sweep.layouts
    bench.withFio = rounds.against.contains(.fio)
    if rounds.against.contains(.qemu) {
      bench.qemu = Bench.QEMU(program: rounds.qemu, channels: rounds.qemuChannels.elements)
    }
    return bench
  }
}
