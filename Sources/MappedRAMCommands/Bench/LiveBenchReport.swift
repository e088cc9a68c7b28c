import LinuxIO
import MappedRAM
import MappedRAMBench
import MappedRAMFormat
import SystemPackage

/// What `mapped-ram bench --live` says at its end.
struct LiveBenchReport: CommandReport {
  var directory: FilePath
  var seed: UInt64
  var bench: LiveBench
  var rows: [LiveRow]
  var facts: BenchFacts
  /// Whether it is to be said what each row did.
  var explains = false

  var text: String {
    var lines = [
      "\(directory): live saves of a VM in \(memory) memory, seed \(seed), "
        + "\(NumberText.count(bench.rounds, "round")), a limit of "
        + "\(NumberText.duration(bench.timeLimit)) for each save. The images were not read back."
    ]
    lines += Self.legend
    return facts.text + lines.map { $0 + "\n" }.joined()
  }

  var memory: String { (bench.isShared ? BenchMemoryKind.shared : .private).rawValue }

  /// What the columns mean.
  private static var legend: [String] {
    [
      "rate: bytes of pages that the guest was told to change in a second, one word in each page; changed: those that it did change, "
        + "right before the saves. It goes round and round in the last quarter of its RAM, which it also reads all the time.",
      "save: stopped, snapshot and rounds are by mapped-ram (the VM is paused; live as of one moment; live in rounds), qemu is QEMU's "
        + "own live save into a mapped-ram file, qemu-snapshot its own background snapshot into a plain stream.",
      "downtime: how long the VM was paused; seconds: until the file was durable. Each is the median, with the least and the "
        + "greatest. x stopped: the seconds as a multiple of those of the stopped save.",
      "CPU-s/GiB: processor time of mapped-ram and QEMU for each GiB of RAM, without the guest's own. guest: its speed during the "
        + "save, pauses included, as a part of its speed right before.",
    ]
  }

  var table: String {
    let hasMixes = Set(rows.map(\.key.mix)).count > 1
    let hasLayouts = rows.contains { $0.key.layout != nil }
    var table = TextTable(
      (hasMixes ? [.text("mix")] : []) + [.text("RAM"), .number("rate"), .number("changed")]
        + [.text("save")] + (hasLayouts ? [.text("layout")] : [])
        + [
          "downtime ms", "min", "max", "seconds", "min", "max", "x stopped", "written MiB",
          "CPU-s/GiB", "guest", "rounds", "sent pages",
        ].map { .number($0) } + [.text("remark")])
    for row in rows {
      table.add(
        (hasMixes ? [row.key.mix] : [])
          + ["\(ByteSize(row.ramBytes))", row.key.dirtyRate.text, row.changedText]
          + [row.key.way.rawValue]
          + (hasLayouts ? [row.layoutText] : []) + cells(row))
    }
    var text = ""
    table.write { text += $0 }
    return text + explanations
  }

  private func cells(_ row: LiveRow) -> [String] {
    func number(_ value: Double?, _ scale: Double = 1) -> String {
      value.map { NumberText.significant($0 * scale) } ?? "-"
    }
    let downtime = row.spread(\.downtimeSeconds)
    let seconds = row.spread(\.seconds)
    func whole(_ value: Double?) -> String {
      value.map { NumberText.fixed($0, places: 0) } ?? "-"
    }
    return [
      number(downtime?.median, 1000), number(downtime?.least, 1000),
      number(downtime?.greatest, 1000), number(seconds?.median), number(seconds?.least),
      number(seconds?.greatest), number(row.timeOfStopped(among: rows)),
      whole(row.spread { $0.writtenBytes.map { Double($0) / Double(1 << 20) } }?.median),
      number(row.cpuSecondsPerGiB?.median), number(row.spread(\.guestSpeed)?.median),
      whole(row.spread { $0.rounds.map { Double($0) } }?.median),
      whole(row.spread { $0.sentPages.map { Double($0) } }?.median), row.remark(bench),
    ]
  }

  /// Behind an empty line; nothing unless it is wanted.
  private var explanations: String {
    explains ? "\n" + rows.compactMap(\.explanation).map { $0 + "\n" }.joined() : ""
  }

  var json: LiveBenchJSON { LiveBenchJSON(self) }
}

extension LiveRow {
  /// What the guest changed in a second, as the median.
  fileprivate var changedText: String {
    dirtyRates.isEmpty ? "-" : NumberText.bytes(UInt64(Spread(dirtyRates).median)) + "/s"
  }

  fileprivate var layoutText: String { key.way.isOurs ? key.layout?.rawValue ?? "-" : "-" }

  /// What has to be known of the row; empty if nothing has.
  func remark(_ bench: LiveBench) -> String {
    if let failure { return "failed: \(failure)" }
    var remarks: [String] = []
    if timeouts > 0 {
      remarks.append(
        "\(timeouts) of \(timeouts + samples.count) not done in \(NumberText.duration(bench.timeLimit))"
      )
    }
    let endless = samples.count { $0.isConverged == false }
    if endless > 0 { remarks.append("\(endless) of \(samples.count) did not converge") }
    let long = samples.count { $0.isWithinDowntimeLimit == false }
    if long > 0 {
      remarks.append(
        "\(long) of \(samples.count) paused for longer than was asked for, "
          + NumberText.shortDuration(LiveOptions().maximumDowntime))
    }
    return remarks.joined(separator: "; ")
  }

  /// A line for people; `nil` where nothing was measured.
  var explanation: String? {
    guard let seconds = spread(\.seconds), let speed = spread(\.guestSpeed) else { return nil }
    let name = "\(ByteSize(ramBytes)) \(key.dirtyRate.text) \(key.way.rawValue)"
    let guest = "the guest ran at \(NumberText.fixed(speed.median * 100, places: 0)) % of its speed"
    let what: String
    switch key.way {
    case .stopped:
      what = "the VM was paused while its memory was read"
    case .snapshot:
      let sent = spread { $0.sentPages.map { Double($0) } }?.median ?? 0
      let share = sent * 4096 / Double(ramBytes)
      what =
        "QEMU sent \(NumberText.fixed(sent, places: 0)) pages (\(NumberText.fixed(share * 100, places: 1)) % of RAM), "
        + "mapped-ram read the others itself"
    case .rounds, .qemu:
      let rounds = spread { $0.rounds.map { Double($0) } }?.median ?? 0
      what =
        "\(NumberText.count(UInt64(rounds.rounded()), "round")) while the VM ran, and one while it was paused"
    case .qemuSnapshot:
      what = "QEMU wrote all pages itself, in one stream"
    }
    return "\(name): \(what); \(guest) for \(NumberText.significant(seconds.median)) s."
  }
}
