import LinuxIO
import MappedRAM
import MappedRAMBench
import MappedRAMFormat
import SystemPackage
import Testing

@testable import MappedRAMCommands

// Testing has an ExitStatus of its own.
private typealias ExitStatus = MappedRAMCommands.ExitStatus

@Suite struct ExitStatusTests {
  static let output: FilePath = "/data/vm"

  private func status(_ error: ImageError) -> ExitStatus {
    ExitStatus(.image(error, output: Self.output))
  }

  private func status(_ errno: Errno, _ path: FilePath) -> ExitStatus {
    status(.system(SystemCallError(call: .open, errno: errno, subject: .file(path))))
  }

  @Test func theNumbersAreThoseOfTheDesign() {
    #expect(ExitStatus.allCases.map(\.rawValue) == [0, 1, 2, 64, 65, 69, 73, 74, 75, 77, 130])
  }

  @Test func badBytesAre65() {
    let format = FormatError(.nameEmpty, at: 7, in: .ramBlockList)
    #expect(status(.format(format, in: "/in.img")) == .badData)
    #expect(status(.save(.unreadable("/data/vm", format))) == .badData)
    #expect(
      status(.save(.blockDiffers("/d/vm", idstr: "a", found: 1, expected: nil))) == .badData)
  }

  @Test(arguments: [
    PlanError.manifest("/d/image.json", .unreadable(detail: "x")),
    .manifest("/d/image.json", .schemaVersion(found: 2, supported: 1)),
    .manifest("/d/image.json", .missingFile("a.ram")), .manifest("/d/image.json", .noBlocks),
    .deviceTooLong(DeviceIdentity("a"), found: 2, limit: 1),
    .sourceSize("/d/a.ram", idstr: "a", found: 1, expected: 2),
    .mixedPageSizes("a", found: .fourKiB, expected: .fourKiB),
    .prefixLength("/d", found: 2, streamOffset: 1), .fileTooLong("/d", found: 2, limit: 1),
  ])
  func filesThatDoNotFitEachOtherAre65(error: PlanError) {
    #expect(status(.plan(error)) == .badData)
  }

  @Test(arguments: [
    SaveError.slotsDiffer("/d/vm"),
    .doesNotConverge(rounds: 1, expected: .seconds(1), wanted: .zero, dirtyBytesPerSecond: nil),
  ])
  func aVMThatCannotBeSavedLiveIs69(error: SaveError) {
    #expect(status(.save(error)) == .unavailable)
  }

  @Test(arguments: [PlanError.unknownBlock("a", known: ["b"]), .noBlocks])
  func argumentsThatDoNotFitTheImageAre64(error: PlanError) {
    #expect(status(.plan(error)) == .usage)
  }

  @Test(arguments: [InodeType.directory, .fifo, .characterDevice, .socket, .unknown])
  func theWrongKindOfFileIs65AsInputAnd73AsOutput(type: InodeType) {
    func error(_ path: FilePath) -> ImageError {
      .system(.unsuitable(path, found: type, expected: [.regular]))
    }
    #expect(status(error("/in.img")) == .badData)
    #expect(status(error(Self.output)) == .cannotCreate)
  }

  @Test(arguments: [
    Errno.noSuchFileOrDirectory, .notDirectory, .isDirectory, .fileExists, .readOnlyFileSystem,
    .fileNameTooLong, .tooManySymbolicLinkLevels,
  ])
  func aBadPathIs74AsInputAnd73AsOutput(errno: Errno) {
    #expect(status(errno, "/in.img") == .ioError)
    #expect(status(errno, Self.output) == .cannotCreate)
    #expect(status(errno, Self.output.appending("pc.ram.ram")) == .cannotCreate)
    #expect(status(errno, "/data/vm2") == .ioError)
  }

  @Test(arguments: [
    Errno.noSpace, .diskQuotaExceeded, .fileTooLarge, .ioError, .noMemory, .tooManyOpenFiles,
  ])
  func aFullOrBrokenDiskIs74OnEitherSide(errno: Errno) {
    #expect(status(errno, "/in.img") == .ioError)
    #expect(status(errno, Self.output) == .ioError)
  }

  @Test(arguments: [Errno.permissionDenied, .notPermitted])
  func whatIsNotPermittedIs77OnEitherSide(errno: Errno) {
    #expect(status(errno, "/in.img") == .notPermitted)
    #expect(status(errno, Self.output) == .notPermitted)
  }

  @Test func errorsInFilesCountAsThoseOfTheirCalls() {
    let error = SystemCallError(call: .open, errno: .permissionDenied, subject: .file("/in.img"))
    #expect(status(.system(error)) == .notPermitted)
    let range = SystemCallError(
      call: .pwrite, errno: .noSpace, subject: .range(Self.output, 0..<4096))
    #expect(status(.system(range)) == .ioError)
  }

  @Test func refusedDirectIOIs69() {
    #expect(status(.system(.directIORefused("/in.img", .notOffered))) == .unavailable)
    #expect(status(.system(.directIORefused(Self.output, .asked))) == .unavailable)
  }

  @Test func theRest() {
    #expect(status(.endedEarly("/in.img", at: 5)) == .ioError)
    #expect(status(.system(.outsideFile("/in.img", range: 0..<2, byteCount: 1))) == .badData)
    #expect(status(.target(.tooSmall("/dev/vdb", found: 1, needed: 2))) == .cannotCreate)
    #expect(status(.cancelled) == .interrupted)
    #expect(status(.contents("/in.img", .noSums)) == .unavailable)
    #expect(status(.contents("/in.img", .foreignSums)) == .badData)
    #expect(status(.contents("/in.img", .damaged([.foreignSums]))) == .badData)
    #expect(status(.contents("/in.img", .unreadableSums([]))) == .badData)
    #expect(status(.plan(.sameFile("/in.img", "/other.img"))) == .usage)
  }

  @Test func errorsOfTheCommandItself() {
    let mismatches = PageMismatches(count: 1, first: 2, checked: 3, expected: 3)
    #expect(ExitStatus(.bench(.mismatch(mismatches))) == .ioError)
    #expect(ExitStatus(.noManifest("/d/image.json")) == .ioError)
    #expect(ExitStatus(.manifestAndOptions("/d/image.json", options: ["--block"])) == .usage)
    #expect(ExitStatus(.offsetWithPrefix("/d/image.json", expected: 4096)) == .usage)
    #expect(ExitStatus(.interrupted("/dev/vdb", leaving: .noImage)) == .interrupted)
    #expect(ExitStatus(.interrupted("/vm.img", leaving: .compacted)) == .interrupted)
    #expect(ExitStatus(.interrupted("/vm.img", leaving: .unchanged)) == .interrupted)
    #expect(ExitStatus(.interrupted("/vm.img", leaving: .partlyRepaired)) == .interrupted)
    #expect(ExitStatus(.notAPicture("/vm.img")) == .cannotCreate)
    #expect(ExitStatus(.image(.cancelled, output: nil)) == .interrupted)
    let thread = SystemCallError(
      call: .pthread_create, errno: .resourceTemporarilyUnavailable, subject: .thread)
    #expect(ExitStatus(.system(thread)) == .ioError)
  }

  @Test func helpListsEachStatusOnALine() {
    let help = ExitStatus.help([.success: "fine"], besides: [.negative, .incomplete])
    #expect(help.hasPrefix("EXIT STATUS:\n  0    fine\n  64   usage error\n"))
    #expect(help.hasSuffix("\n  130  interrupted"))
    #expect(!help.contains("\n  1 "))
  }
}
