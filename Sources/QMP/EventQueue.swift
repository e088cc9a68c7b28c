/// Events that have not been taken yet, the oldest first. Only so many are kept, and only so many bytes of them.
///
/// Of a name that came often the first and the last say more than those between: the first STOP, the last RESUME. So where there are too
/// many, one of the name that there are most of goes, but neither its first nor its last. Then no flood of events, like a guest's
/// BLOCK_IO_ERROR or RTC_CHANGE, pushes out what is looked for; QEMU 11 has less than 100 names.
struct EventQueue {
  /// The most events that are kept.
  let limit: Int
  /// The most bytes that they had when they came; one alone may have had more.
  let byteLimit: Int
  /// Those that are kept.
  var events: [QMPEvent] { kept.map(\.event) }
  private var kept: [(event: QMPEvent, byteCount: Int)] = []
  private var byteCount = 0
  /// How many of each name.
  private var counts: [String: Int] = [:]
  /// How many were dropped.
  private(set) var droppedCount = 0

  init(limit: Int, byteLimit: Int) {
    precondition(limit > 0, "A queue has room for an event")
    self.limit = limit
    self.byteLimit = byteLimit
  }

  /// Adds the latest event, which came in so many bytes.
  ///
  /// - Complexity: O(limit) for each that is dropped.
  mutating func append(_ event: QMPEvent, byteCount: Int) {
    while kept.count == limit || !kept.isEmpty && self.byteCount + byteCount > byteLimit {
      remove(at: indexToDrop)
      droppedCount += 1
    }
    kept.append((event, byteCount))
    self.byteCount += byteCount
    counts[event.name, default: 0] += 1
  }

  /// Whether there is none.
  var isEmpty: Bool { kept.isEmpty }

  /// Whether there is one of this name.
  func has(_ name: String) -> Bool { counts[name] != nil }

  /// Takes all.
  mutating func takeAll() -> [QMPEvent] {
    defer { (kept, counts, byteCount) = ([], [:], 0) }
    return events
  }

  /// Takes the oldest with one of `names`; `nil` where there is none.
  mutating func takeFirst(of names: Set<String>) -> QMPEvent? {
    guard names.contains(where: { counts[$0] != nil }) else { return nil }
    return kept.firstIndex { names.contains($0.event.name) }.map { remove(at: $0) }
  }

  @discardableResult
  private mutating func remove(at index: Int) -> QMPEvent {
    let (event, byteCount) = kept.remove(at: index)
    self.byteCount -= byteCount
    counts[event.name] = counts[event.name].flatMap { $0 > 1 ? $0 - 1 : nil }
    return event
  }

  /// The second event of the name that there are most of; the oldest of all where no name has one between its first and its last.
  private var indexToDrop: Int {
    let most = counts.values.max() ?? 0
    guard most > 2 else { return 0 }
    var firsts: Set<String> = []
    return kept.firstIndex {
      counts[$0.event.name] == most && !firsts.insert($0.event.name).inserted
    }
      ?? 0
  }
}
