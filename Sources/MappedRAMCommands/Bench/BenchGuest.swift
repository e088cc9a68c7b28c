import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat

/// The options of `mapped-ram bench` that say what the made-up guest is like.
struct BenchGuest: ParsableArguments {
  @Option(
    help: ArgumentHelp("The guest's memory: a multiple of 4K, up to 64T.", valueName: "bytes"))
  var size = ByteSize(1 << 30)

  @Option(
    help: ArgumentHelp("How much of it is zero pages, from 0 to 1.", valueName: "fraction"))
  var zeroFraction = 0.0

  @Option(
    help: ArgumentHelp(
      "What determines its contents. (default: another one each time)", valueName: "number"))
  var seed: UInt64?

  func validate() throws {
    let limit = ImageLimits.ramBytes.rawValue
    guard size.byteCount > 0, size.byteCount % 4096 == 0, size.byteCount <= limit else {
      throw ValidationError(
        "--size is \(size); expected a multiple of 4K, up to \(ByteSize(limit)).")
    }
    guard (0...1).contains(zeroFraction) else {
      throw ValidationError("--zero-fraction is \(zeroFraction); expected 0 to 1.")
    }
  }

  /// The guest, once the options have been validated.
  func make() throws(CommandError) -> SyntheticGuest {
    try CommandError.system { () throws(SystemCallError) in
      try SyntheticGuest(
        byteCount: size.byteCount, zeroFraction: zeroFraction,
        seed: seed ?? UInt64.random(in: 0...UInt64(UInt32.max)))
    }
  }
}
