import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMBench
import MappedRAMFormat
import SystemPackage
import Testing

@testable import MappedRAMCommands

@Suite struct ArgumentTests {
  @Test func withoutOptionsTheStandardHolds() throws {
    #expect(try ChannelArguments.parse([]).options() == .standard)
  }

  @Test func everyTransferOptionArrives() throws {
    let arguments = try ChannelArguments.parse([
      "--channels", "64", "--queue-depth", "1024", "--request-size", "16M", "--io", "sync",
      "--direct-io", "required",
    ])
    let expected = ChannelOptions(
      channels: 64, queueDepth: 1024, requestBytes: 16 << 20, method: .sync, directIO: .required)
    #expect(arguments.options() == expected)
  }

  @Test(arguments: [
    "--channels 1", "--channels 64", "--queue-depth 1", "--queue-depth 1024",
    "--request-size 64K", "--request-size 16M", "--direct-io off", "--direct-io auto",
    "--io io_uring", "--progress json", "--progress none", "--json", "--in-place",
    "--offset 0x1000",
  ])
  func allowedValuesAreTaken(option: String) {
    #expect(complaint("pack d x.img \(option)") == nil)
  }

  @Test(arguments: [
    ("--channels 0", "--channels is 0; expected 1 to 64."),
    ("--channels 65", "--channels is 65; expected 1 to 64."),
    ("--queue-depth 0", "--queue-depth is 0; expected 1 to 1024."),
    ("--queue-depth 1025", "--queue-depth is 1025; expected 1 to 1024."),
    ("--request-size 32K", "--request-size is 32K; expected a power of two, 64K to 16M."),
    ("--request-size 32M", "--request-size is 32M; expected a power of two, 64K to 16M."),
    ("--request-size 96K", "--request-size is 96K; expected a power of two, 64K to 16M."),
    ("--request-size 16E", "The value '16E' is invalid for '--request-size <bytes>'"),
    ("--channels=-1", "--channels is -1; expected 1 to 64."),
  ])
  func valuesPastTheLimitsAreRefused(option: String, message: String) {
    #expect(complaint("pack d x.img \(option)") == message)
  }

  @Test func anImageByHandNeedsAllItsParts() {
    #expect(
      complaint("pack --block a=b d x.img")
        == "To build an image from files of your own, give --machine and --vmstate as well.")
    #expect(
      complaint("pack --page-size 8K d x.img")
        == "To build an image from files of your own, give --machine and --vmstate and --block as well."
    )
    #expect(complaint("pack --block a=b --machine pc --vmstate v d x.img") == nil)
  }

  @Test func aBlockHasOneFile() {
    #expect(
      complaint("pack --block a=b --block a=c --machine pc --vmstate v d x.img")
        == "--block names \"a\" twice; a RAMBlock has one file.")
  }

  @Test(arguments: ["512", "3K", "128K"])
  func pageSizesThatDoNotExistAreRefused(size: String) {
    #expect(
      complaint("pack --block a=b --machine pc --vmstate v --page-size \(size) d x.img")
        == "--page-size is \(size); expected a power of two, 1K to 64K.")
  }

  @Test func aMachineTypeIsANameOfUpTo255Bytes() {
    let start = "pack --block a=b --vmstate v d x.img --machine "
    #expect(complaint(start + String(repeating: "m", count: 255)) == nil)
    let long = String(repeating: "m", count: 256)
    #expect(
      complaint(start + long)
        == "--machine is \"\(long)\"; expected 1 to 255 printable ASCII characters.")
    #expect(
      complaint(start + "é") == "--machine is \"é\"; expected 1 to 255 printable ASCII characters.")
  }

  @Test func aBlockIsSplitAtTheFirstEqualsSign() {
    #expect(BlockFile(argument: "/rom@etc/acpi=a=b")?.idstr == "/rom@etc/acpi")
    #expect(BlockFile(argument: "/rom@etc/acpi=a=b")?.file == "a=b")
    for bad in ["", "=", "a", "a=", "=b"] { #expect(BlockFile(argument: bad) == nil) }
  }

  @Test(arguments: ["4K", "64T"])
  func benchTakesSizesUpToItsLimit(size: String) {
    #expect(complaint("bench . --size \(size)") == nil)
  }

  @Test(arguments: [
    ("--size 0", "--size is 0; expected a multiple of 4K, up to 64T."),
    ("--size 4097", "--size is 4097; expected a multiple of 4K, up to 64T."),
    ("--size 65T", "--size is 65T; expected a multiple of 4K, up to 64T."),
    ("--zero-fraction 1.01", "--zero-fraction is 1.01; expected 0 to 1."),
    ("--zero-fraction=-0.1", "--zero-fraction is -0.1; expected 0 to 1."),
    ("--zero-fraction nan", "--zero-fraction is nan; expected 0 to 1."),
    ("--zero-run 0", "--zero-run is 0; expected a multiple of 4K."),
    ("--zero-run 4097", "--zero-run is 4097; expected a multiple of 4K."),
    ("--entropy 1.01", "--entropy is 1.01; expected 0 to 1."),
    (
      "--mix random --zero-fraction 0.5",
      "Give either --mix, or --zero-fraction and --zero-run, not both."
    ),
    (
      "--mix random --zero-run 4K",
      "Give either --mix, or --zero-fraction and --zero-run, not both."
    ),
    ("--repeat 0", "--repeat is 0; expected 1 to 1000."),
    ("--repeat 1001", "--repeat is 1001; expected 1 to 1000."),
    ("--channels 1,65", "--channels has 65; expected 1 to 64."),
    ("--queue-depth 0,1", "--queue-depth has 0; expected 1 to 1024."),
    ("--request-size 1M,3M", "--request-size has 3M; expected a power of two, 64K to 16M."),
    ("--qemu-channels 256", "--qemu-channels has 256; expected 1 to 255."),
    ("--live --dirty-rate 0,1023K", "--dirty-rate has 1023K; expected 0, 1M to 1T, or max."),
    ("--live --dirty-rate 1025G", "--dirty-rate has 1025G; expected 0, 1M to 1T, or max."),
    ("--live --save-timeout 0", "--save-timeout is 0.0; expected 0.001 or more seconds."),
    (
      "--live --size 1G,15M", "--size has 15M; with --live it is a multiple of 1M, from 16M on."
    ),
    (
      "--live --size 16388K",
      "--size has 16388K; with --live it is a multiple of 1M, from 16M on."
    ),
    ("--live --against qemu", "--against is not for --live."),
    ("--live --chart c.svg", "--chart is not for --live."),
    ("--live --compare o.json", "--compare is not for --live."),
    ("--live --memory made", "--memory made is not for --live."),
    ("--live --channels 1,2", "With --live, each expert option but --layout has one value."),
    ("--dirty-rate max", "--dirty-rate is for --live."),
    ("--save-timeout 1", "--save-timeout is for --live."),
    ("--size 1G,2G", "--size has several values, which is for --live."),
  ])
  func benchRefusesWhatCannotBe(option: String, message: String) {
    #expect(complaint("bench . \(option)") == message)
  }

  @Test(arguments: [
    "--size 16M", "--size 1G,4G", "--dirty-rate 0", "--dirty-rate 1M", "--dirty-rate 1T",
    "--dirty-rate 0,50M,200M,max", "--save-timeout 0.001", "--memory shared", "--explain",
  ])
  func benchTakesLiveOptionsUpToTheirLimits(option: String) {
    #expect(complaint("bench . --live \(option)") == nil)
  }

  @Test func layoutsAreMeasuredOneAfterTheOther() throws {
    #expect(try BenchSweep.parse([]).layouts == [nil])
    #expect(try BenchSweep.parse(["--layout", "2M"]).layouts == [.hugePages])
    #expect(try BenchSweep.parse(["--layout", "1M,2M"]).layouts == [.qemu, .hugePages])
    for bad in ["", "4M", "1M,1M"] {
      #expect(ListArgument<SlotLayout>(argument: bad) == nil, "\(bad)")
    }
    #expect(complaint("bench . --live --layout 1M,2M") == nil)
  }

  @Test func aDirtyRateIsANumberOfBytesOrAsMuchAsCanBe() throws {
    let live = try BenchLive.parse(["--live", "--dirty-rate", "0,50M,max"])
    let rates = try #require(live.dirtyRate)
    #expect(rates.elements == [.bytesPerSecond(0), .bytesPerSecond(50 << 20), .unlimited])
    #expect(rates.elements.map(\.text) == ["0", "50M", "max"])
    for bad in ["", "x", "50X", "MAX", "-1"] { #expect(DirtyRate(argument: bad) == nil) }
  }

  @Test func listsHaveEachValueOnceAndNoneThatIsWrong() {
    #expect(ListArgument<Int>(argument: "1")?.elements == [1])
    #expect(ListArgument<Int>(argument: "1,2,4")?.elements == [1, 2, 4])
    for bad in ["", ",", "1,", ",1", "1,,2", "1,1", "1,x", "1, 2"] {
      #expect(ListArgument<Int>(argument: bad) == nil, "\(bad)")
    }
    #expect(
      ListArgument<BenchMix>(argument: "zero-runs,zero")?.elements == [.zeroRuns, .zero])
    #expect(ListArgument<ByteSize>(argument: "64K,1M")?.defaultValueDescription == "64K,1M")
  }

  @Test func aSweepHasEveryCombinationOnce() throws {
    let arguments = ["--channels", "1,2", "--queue-depth", "4,16,64", "--io", "io_uring,sync"]
    let options = try BenchSweep.parse(arguments).combinations
    #expect(options.count == 12)
    for (index, option) in options.enumerated() {
      #expect(!options[..<index].contains(option))
    }
    #expect(try BenchSweep.parse([]).combinations == [.standard])
  }

  @Test func everyVerbNeedsItsSourceAndTarget() {
    #expect(
      complaint("restore x.img")
        == "Missing target: give the QMP socket of a QEMU that waits, or a QEMU to start behind --."
    )
    #expect(complaint("save x.img") == "Missing expected argument '<image>'")
    #expect(complaint("unpack x.img") == "Missing expected argument '<directory>'")
    #expect(complaint("pack d") == "Missing expected argument '<image>'")
    #expect(complaint("inspect") == "Missing expected argument '<image or socket>'")
    #expect(complaint("unpack x.img d --block a --block b") == nil)
  }

  @Test(arguments: [
    "save s -", "restore - s", "inspect -", "pack d -", "unpack - d", "compact -", "verify -",
    "seal -", "seal --copy - x",
  ])
  func anImageIsNoStream(line: String) throws {
    #expect(try #require(complaint(line)).contains("An image cannot be streamed"))
  }
}

/// What the command says about these arguments, or `nil` if they are good.
func complaint(_ arguments: String) -> String? {
  do {
    _ = try MappedRAMCommand.parse(arguments.split(separator: " ").map(String.init))
    return nil
  } catch {
    #expect(
      MappedRAMCommand.exitCode(for: error).rawValue
        == MappedRAMCommands.ExitStatus.usage.rawValue)
    return MappedRAMCommand.message(for: error)
  }
}
