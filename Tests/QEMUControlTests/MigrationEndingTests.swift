import Testing

@testable import QEMUControl

/// When a migration may be cancelled, by what QEMU says of it.
@Suite struct MigrationEndingTests {
  private func info(_ status: String, _ transferred: UInt64?) -> MigrationInfo {
    let ram = transferred.map {
      MigrationInfo.RAM(transferred: $0, remaining: 1, total: 2, normalPages: 0, zeroPages: 0)
    }
    return MigrationInfo(status: .init(rawValue: status), ram: ram, blockedReasons: [])
  }

  /// The numbers of the looks at which the migration is cancelled.
  private func times(_ infos: [MigrationInfo]) -> [Int] {
    var ending = MigrationEnding()
    return infos.indices.filter { ending.isTime(infos[$0]) }
  }

  @Test func channelsAreIdleAfterSomethingMovedAndThenNothing() {
    #expect(times([1, 1, 1, 2, 3, 3, 3, 4, 4].map { info("active", $0) }) == [5])
    #expect(times([1, 2, 2].map { info("active", $0) }) == [2])
  }

  @Test func channelsThatNeverMoveAreIdleAfterSomeLooks() {
    let patience = MigrationEnding.patience
    #expect(times((0..<patience).map { _ in info("active", 7) }) == [])
    #expect(times((0...patience).map { _ in info("active", 7) }) == [patience])
  }

  @Test(arguments: ["setup", "device", "cancelling", "wait-unplug"])
  func itIsLeftAloneWhileItIsNotActive(status: String) {
    #expect(times((0..<100).map { _ in info(status, 7) }) == [])
  }

  @Test func beforeThereIsRAMItIsLeftAlone() {
    #expect(times((0..<100).map { _ in info("active", nil) }) == [])
  }

  @Test func whatMovesAllTheTimeIsLeftAlone() {
    #expect(times((0..<100).map { info("active", $0) }) == [])
  }
}
