import LinuxIO
import MappedRAMFormat
import QEMUArguments
import QEMUControl
import SystemPackage
import Testing

@testable import MappedRAM
import MappedRAMBench
@testable import MappedRAMCommands

@Suite struct MessageTests {
  @Test func eachErrorSaysWhatToDo() {
    #expect(
      CommandError.manifestAndOptions("d/image.json", options: ["--block", "--machine"]).description
        == "d/image.json: this manifest defines the blocks, so --block, --machine cannot be given as well. "
        + "Leave that out, or rename the manifest to build an image by hand from the files beside it."
    )
    #expect(
      CommandError.noManifest("d/image.json").description
        == "d/image.json: no such file. A directory that \"mapped-ram unpack\" wrote has one; for files of "
        + "your own give --machine, --vmstate and a --block for each RAMBlock.")
    #expect(
      CommandError.offsetWithPrefix("d/image.json", expected: 4096).description
        == "d/image.json: what stands before the stream belongs to this image, so the stream begins at 4096. "
        + "Leave --offset out.")
  }

  /// The library says what is wrong; which option of the command helps comes behind that.
  @Test(
    arguments: [
      (
        .image(
          .format(
            FormatError(
              .notAStream(found: [1, 2, 3, 4], looksLike: nil), at: .zero, in: .streamHeader),
            in: "x"), output: nil), "If the stream begins elsewhere, give --offset."
      ),
      (.image(.plan(.noBlocks), output: nil), "Name the files with --block IDSTR=FILE."),
      (.image(.target(.notAnImage("x", found: nil)), output: nil), "Use --force to replace it."),
      (.image(.target(.anotherVM("x", [])), output: nil), "Use --force to replace it."),
      (.image(.target(.fileExists("x")), output: nil), "Use --force to replace it."),
      (
        .vm(.cannotCapture([.missingCommand("x")]), output: nil),
        "Use --engine qemu to let QEMU do the work."
      ),
      (
        .vm(.cannotCapture([.unknownProcess(given: 7)]), output: nil),
        "Give the right process ID with --pid, or leave --pid out. "
          + "Use --engine qemu to let QEMU do the work."
      ),
      (.vm(.deviceByQEMU("x", []), output: nil), "Use --engine capture."),
      (.vm(.layoutByQEMU([]), output: nil), "Use --engine capture."),
      (
        .vm(
          .notByQEMU([.runsOnImage(idstr: "m", path: "i")], [.missingCommand("x")]), output: nil),
        "Use --engine qemu to let QEMU read it nevertheless."
      ),
      (
        .vm(
          .notByQEMU([.fillsMemory(idstr: "m", path: "i", byteCount: 2, available: 1)], []),
          output: nil), "Use --engine capture."
      ),
      (
        .vm(.layoutByQEMU([.missingCommand("x")]), output: nil),
        "Use --layout 1M to let QEMU do the work."
      ),
      (
        .vm(.migrationFailed("x", reason: nil, hints: [.canCapture]), output: nil),
        "Use --engine capture."
      ),
      (
        .vm(.pausedTooLong(isResumed: true), output: nil),
        "More time can be allowed with --max-downtime."
      ),
      (
        .vm(.managedByLibvirt(domain: nil), output: nil),
        "Use --managed-by-libvirt to save it nevertheless."
      ),
      (.vm(.launch(.refused(.noProgram)), output: nil), "Give QEMU and its arguments behind --."),
      (.vm(.launch(.refused(.conflict(.daemonize))), output: nil), "Use --detach instead."),
      (
        .vm(.launch(.refused(.needsSharedMemory(option: "-x"))), output: nil),
        "Use --engine place."
      ),
      (
        .vm(.asleep(cause: .image(.plan(.noBlocks))), output: nil),
        "Name the files with --block IDSTR=FILE. Use --engine capture."
      ),
    ] as [(CommandError, String)])
  func theOptionThatHelpsIsNamed(error: CommandError, advice: String) {
    #expect(error.description.hasSuffix(". \(advice)"), "\(error)")
  }

  /// No advice that cannot be followed.
  @Test(
    arguments: [
      .vm(.cannotCapture([.blocked(reason: "x")], canUseQEMU: false), output: nil),
      .vm(.asleep(cause: nil, canCapture: false), output: nil),
      .vm(.pausedTooLong(isResumed: true), output: nil, isLive: true),
    ] as [CommandError])
  func anOptionThatDoesNotHelpIsNotNamed(error: CommandError) {
    #expect(!error.description.contains("--"), "\(error)")
  }

  @Test func whatIsThereAlreadyIsReplacedByForce() {
    #expect(
      CommandError.image(.target(.fileExists("x")), output: nil).description
        == "x: this file exists and would be lost: nothing was changed. Choose another "
        + "name, or allow it to be replaced. Use --force to replace it.")
  }

  @Test func contentsThatAreNotRightAreNamed() {
    func text(_ problem: ContentsProblem) -> String {
      CommandError.image(.contents("vm.img", problem), output: nil).description
    }
    let place = FileOffset(0x1000)..<FileOffset(0x3000)
    #expect(
      text(.noSums)
        == "vm.img: the image has no checksums: whether its contents are right cannot be told. Give it checksums with \"mapped-ram seal\" "
        + "while it is known to be right.")
    #expect(
      text(.damaged([.pages(idstr: "pc.ram", 2..<4, at: place), .span(device: "rtc", at: place)]))
        == "vm.img: the contents are not those that were saved: RAMBlock \"pc.ram\": pages 0x2 to 0x3, 0x1000 to 0x3000 of the file; state "
        + "of device \"rtc\", 0x1000 to 0x3000 of the file. Use \"mapped-ram repair\" with a copy or an older image of the VM."
    )
    let many = Array(repeating: ImageVerification.Damage.bitmap(idstr: "a", at: place), count: 10)
    #expect(text(.damaged(many)).contains("; and 2 more. Use"))
    #expect(text(.unreadableSums([])).contains("checksums cannot be read, so whether"))
    #expect(text(.foreignSums).hasSuffix("they do not cover what is in this one."))
    #expect(
      CommandError.image(.plan(.sameFile("a", "b")), output: nil).description
        == "a and b are the same file: give another one that still has the contents.")
  }

  @Test func whatWasInterruptedAndWhatWouldBeLostIsSaid() {
    #expect(ImageError.cancelled.description == "Interrupted.")
    #expect(CommandError.image(.cancelled, output: nil).description == "Interrupted.")
    #expect(
      CommandError.image(.cancelled, output: "vm.img").description
        == "Interrupted; nothing was left behind.")
    #expect(
      CommandError.interrupted("vm.img", leaving: .noImage).description
        == "vm.img: interrupted; it contains no image now.")
    #expect(
      CommandError.interrupted("vm.img", leaving: .compacted).description
        == "vm.img: interrupted; the image is intact, and some disk space may be freed already."
    )
    #expect(
      CommandError.interrupted("vm.img", leaving: .partlyRepaired).description
        == "vm.img: interrupted; what was repaired so far is right, and the rest is as it was. Run it again."
    )
    #expect(
      CommandError.notAPicture("vm.img").description
        == "vm.img: this file is not a picture (SVG) and would be lost: nothing was changed. Choose "
        + "another name, or remove it.")
  }

  @Test func aMismatchNamesTheFirstPage() {
    #expect(
      CommandError.bench(.mismatch(PageMismatches(count: 2, first: 7, checked: 9, expected: 9)))
        .description
        == "2 pages of 9 came back with other contents than were written, the first of them page 7. The engine, the "
        + "file system or the device changed them: do not trust them with an image.")
    #expect(
      CommandError.bench(.mismatch(PageMismatches(count: 0, first: 0, checked: 8, expected: 9)))
        .description
        == "8 pages came back, but 9 were written. The engine, the file system or the device lost them: do not trust "
        + "them with an image.")
  }

  @Test func notesNameWhatWasDoneInPlaceOfWhatWasAsked() {
    let refused = SystemCallError(call: .io_uring_setup, errno: .noFunction, subject: .ring)
    #expect(
      ChannelNote.ioUringRefused(refused).text
        == "pread and pwrite were used in place of io_uring: \(refused)")
    #expect(
      ChannelNote.buffersNotRegistered(refused).text
        == "Buffers are not registered with the ring, so each request maps its own: \(refused)")
    #expect(
      ChannelNote.directIORefused("vm.img", .asked).text
        == "vm.img: the page cache was used in place of direct I/O: it was refused on request.")
  }

  @Test func tablesLineUp() {
    var table = TextTable([.text(""), .number("GiB/s"), .text("by")])
    table.add(["write", "2.31", "io_uring"])
    table.add(["read", "12.3", ""])
    var text = ""
    table.write { text += $0 }
    #expect(text == "       GiB/s  by\nwrite   2.31  io_uring\nread    12.3\n")
  }

  @Test func aReportHasALineForEachFallback() {
    var report = Self.report
    #expect(
      report.text
        == "  512 MiB of 1.00 GiB of RAM present; 0.250 s, 2.00 GiB/s, 0.500 CPU-seconds per GiB\n")
    #expect(
      report.details == "  10 requests by io_uring, 8 of them direct; peak memory 48.0 MiB\n")
    report.notes = [.directIORefused("vm.img", .asked)]
    #expect(
      report.text.hasSuffix(
        "\n  Note: vm.img: the page cache was used in place of direct I/O: it was refused on request.\n"
      ))
  }

  @Test func aSmallTransferHasNoRate() {
    var report = Self.report
    report.presentBytes = 64 << 20 - 1
    #expect(report.text.hasPrefix("  64.0 MiB of 1.00 GiB of RAM present; 0.250 s\n"))
    report.presentBytes = 64 << 20
    #expect(report.text.hasPrefix("  64.0 MiB of 1.00 GiB of RAM present; 0.250 s, 0.250 GiB/s"))
    report.presentBytes = 0
    #expect(TransferJSON(report).cpuSecondsPerGiB == nil)
  }

  static let report = TransferReport(
    ramBytes: 1 << 30, presentBytes: 512 << 20,
    totals: TransferTotals(
      bytesRead: 1 << 30, bytesWritten: 512 << 20, directRequests: 8, bufferedRequests: 2),
    notes: [], method: .ioUring, directIO: .off, elapsed: .milliseconds(250),
    cpuTime: .milliseconds(250), peakMemoryBytes: 48 << 20)
}
