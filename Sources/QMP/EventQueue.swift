/// Events that nobody has taken yet, the oldest first. Only so many are kept.
///
/// Of a name that came often the first and the last say more than those between: the first STOP, the last RESUME. So where there are too
/// many, one of the name that there are most of goes, but neither its first nor its last. Then no flood of events, like a guest's
/// BLOCK_IO_ERROR or RTC_CHANGE, pushes out what somebody looks for; QEMU 11 has less than 100 names.
struct EventQueue {
  /// The most events that are kept.
  let limit: Int
  /// Those that are kept.
  private(set) var events: [QMPEvent] = []
  /// How many of each name.
  private var counts: [String: Int] = [:]
  /// How many were dropped.
  private(set) var droppedCount = 0

  init(limit: Int) {
    precondition(limit > 0, "A queue has room for an event")
    self.limit = limit
  }

  /// Adds the latest event.
  ///
  /// - Complexity: O(limit) where one is dropped.
  mutating func append(_ event: QMPEvent) {
    if events.count == limit {
      remove(at: indexToDrop)
      droppedCount += 1
    }
    events.append(event)
    counts[event.name, default: 0] += 1
  }

  /// Whether there is one of this name.
  func has(_ name: String) -> Bool { counts[name] != nil }

  /// Takes all.
  mutating func takeAll() -> [QMPEvent] {
    defer { (events, counts) = ([], [:]) }
    return events
  }

  /// Takes the oldest with one of `names`; `nil` where there is none.
  mutating func takeFirst(of names: Set<String>) -> QMPEvent? {
    guard names.contains(where: { counts[$0] != nil }) else { return nil }
    return events.firstIndex { names.contains($0.name) }.map { remove(at: $0) }
  }

  @discardableResult
  private mutating func remove(at index: Int) -> QMPEvent {
    let event = events.remove(at: index)
    counts[event.name] = counts[event.name].flatMap { $0 > 1 ? $0 - 1 : nil }
    return event
  }

  /// The second event of the name that there are most of; the oldest of all where no name has one between its first and its last.
  private var indexToDrop: Int {
    let most = counts.values.max() ?? 0
    guard most > 2 else { return 0 }
    var firsts: Set<String> = []
    return events.firstIndex { counts[$0.name] == most && !firsts.insert($0.name).inserted } ?? 0
  }
}
