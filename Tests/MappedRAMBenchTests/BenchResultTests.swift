import MappedRAM
import Testing

@testable import MappedRAMBench

/// What is made of samples.
@Suite struct BenchResultTests {
  private func row(
    _ operation: BenchRow.Operation, _ contestant: BenchRow.Contestant, _ seconds: [Double],
    mix: String = "random", settings: BenchRow.Settings = .engine(.standard),
    bytes: UInt64 = 1 << 30,
    cpu: Double? = nil, requests: UInt64? = nil
  ) -> BenchRow {
    BenchRow(
      key: BenchRow.Key(
        mix: mix, operation: operation, contestant: contestant, settings: settings),
      ramBytes: 1 << 30, bytes: bytes,
      samples: seconds.map { BenchSample(seconds: $0, cpuSeconds: cpu, requests: requests) })
  }

  @Test(
    arguments: [
      ([3.0], 3.0), ([1, 9], 5), ([9, 1, 2], 2), ([4, 1, 3, 2], 2.5),
    ] as [([Double], Double)])
  func theMedianIsInTheMiddle(values: [Double], median: Double) {
    let spread = Spread(values)
    #expect(spread.median == median)
    #expect(spread.least == values.min() && spread.greatest == values.max())
  }

  @Test func ratiosTakeTheBestOfEachContestant() throws {
    let ratios = BenchRatio.all(of: [
      row(.save, .mappedRAM, [1, 0.5, 0.6], settings: .capture(.standard), cpu: 0.1),
      row(.save, .mappedRAM, [3], cpu: 1),
      row(.save, .qemu, [2], settings: .qemu(channels: 1, isDirect: true), cpu: 1),
      row(.save, .qemu, [1.2], settings: Self.best, cpu: 0.5),
      row(.save, .fio, [0.6]),
    ])
    #expect(
      ratios.map(\.kind) == [.time(.save, Self.best), .cost(.save), .rate(.save, .fioWrite)])
    #expect(ratios.map(\.value) == [2, 0.2, 1])
  }

  private static let best = BenchRow.Settings.qemu(channels: 8, isDirect: true)

  @Test func aRestoreIsHeldAgainstTheLowerOfDiskAndMemory() throws {
    let rows = [row(.restore, .mappedRAM, [1]), row(.restore, .fio, [0.5])]
    let disk = try #require(BenchRatio.all(of: rows).first)
    #expect(disk.value == 0.5 && disk.kind == .rate(.restore, .fioRead))
    let memory = try #require(
      BenchRatio.all(of: rows + [row(.memoryTouch, .memory, [1])]).first)
    #expect(memory.value == 1 && memory.kind == .rate(.restore, .touchingMemory))
  }

  @Test func directoriesAreHeldAgainstTheSlowerOfFiosRatesAndItsCopy() throws {
    let ratios = BenchRatio.all(of: [
      row(.toDirectory, .mappedRAM, [2]), row(.fromDirectory, .mappedRAM, [1]),
      row(.save, .fio, [0.5]), row(.restore, .fio, [1]), row(.copy, .fio, [1.5]),
    ])
    #expect(
      ratios.map(\.kind) == [
        .rate(.toDirectory, .slowerOfFio), .rate(.fromDirectory, .slowerOfFio),
        .rate(.toDirectory, .fioCopy), .rate(.fromDirectory, .fioCopy),
      ])
    #expect(ratios.map(\.value) == [0.5, 1, 0.75, 1.5])
  }

  @Test func aMapIsHeldAgainstTheStartAlone() throws {
    let ratio = try #require(
      BenchRatio.all(of: [row(.map, .mappedRAM, [0.1875]), row(.start, .qemu, [0.1640625])]).first)
    #expect(ratio.value == 23.4375)
  }

  @Test func zerosAreHeldAgainstReadingMemory() throws {
    let ratios = BenchRatio.all(of: [
      row(.save, .mappedRAM, [0.2], mix: "zero", bytes: 0),
      row(.memoryRead, .memory, [0.1], mix: "zero"),
    ])
    #expect(ratios.map(\.value) == [0.5])
  }

  @Test(
    arguments: [
      (1.0, 0.1, nil, 1024, .disk), (1.0, 0.1, 0.95, 1024, .disk), (1.0, 1.9, 0.5, 1024, .cpu),
      (1.0, 1.5, 0.5, 131_072, .requestSize), (1.0, 0.1, 0.5, 1024, .waiting),
      (1.0, 1.2, 0.5, 1024, .unknown),
    ] as [(Double, Double, Double?, UInt64, BenchExplanation.Bound)])
  func explains(
    seconds: Double, cpu: Double, fio: Double?, requests: UInt64, bound: BenchExplanation.Bound
  ) {
    var rows = [row(.save, .mappedRAM, [seconds], cpu: cpu, requests: requests)]
    if let fio { rows.append(row(.save, .fio, [seconds * fio])) }
    let found = BenchExplanation.all(of: rows, processors: 2)
    #expect(found.map(\.bound) == [bound])
  }

  /// Half of what fio writes, but all that it reads and writes at once; 2 GiB of requests for 1 GiB.
  @Test(arguments: [BenchRow.Operation.toDirectory, .fromDirectory])
  func directoriesAreBoundedByADiskThatReadsAndWrites(_ operation: BenchRow.Operation) throws {
    let found = BenchExplanation.all(
      of: [
        row(operation, .mappedRAM, [1], cpu: 0.1, requests: 2048), row(.save, .fio, [0.5]),
        row(.restore, .fio, [0.5]), row(.copy, .fio, [1]), row(.memoryTouch, .memory, [1]),
      ], processors: 2)
    let explanation = try #require(found.first)
    #expect(explanation.bound == .disk)
    #expect(explanation.reason.ofDisk == 1 && explanation.reason.requestBytes == 0x1p20)
  }

  @Test func memoryThatIsReadAsFastAsItCanBeIsTheBound() {
    let found = BenchExplanation.all(
      of: [
        row(.save, .mappedRAM, [0.1], bytes: 0, cpu: 0.1), row(.memoryRead, .memory, [0.08]),
      ], processors: 2)
    #expect(found.map(\.bound) == [.memory])
  }
}
