import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// What a reader would refuse is refused when it is planned: before a byte is written, and before an image that is to be replaced
/// in place is gone.
@Suite struct PlanCheckTests {
  /// Pages that nobody reads.
  private struct NoPages: PageSource, CopyingSource {
    let byteCount: UInt64
    var readAccess: SourceAccess { .copy(self) }
    func copy(
      into buffer: UnsafeMutableRawBufferPointer, from offset: UInt64
    ) throws(SystemCallError) {
      preconditionFailure("a plan reads no page")
    }
  }

  private static func block(
    _ idstr: String = "pc.ram", usedLength: ByteCount = 1_048_576, pageSize: PageSize = .fourKiB,
    isIgnored: Bool = false
  ) throws -> SavePlan.Block {
    SavePlan.Block(
      try RAMBlock(
        idstr: idstr, usedLength: usedLength, pageSize: pageSize, address: isIgnored ? 0 : nil,
        isIgnored: isIgnored),
      pages: isIgnored ? nil : NoPages(byteCount: usedLength.rawValue))
  }

  private static func plan(
    _ configuration: Configuration = .mappedRAM(machineType: "none"), preamble: [UInt8] = [],
    blocks: [SavePlan.Block]? = nil
  ) throws -> SavePlan {
    try SavePlan(
      prologue: StreamPrologue(configuration: configuration, preamble: preamble),
      blocks: try blocks ?? [block()], tail: [.bytes(TestGuest.tail)], for: "made-up")
  }

  // MARK: Sums

  private static let gpu = DeviceIdentity("gpu")

  private static func section(_ byteCount: UInt64, _ index: UInt32 = 0) -> DeviceSave {
    DeviceSave(
      DeviceIdentity("gpu", instanceID: index), from: TestDevice([], announces: byteCount),
      placement: .section(version: 1))
  }

  /// A user's file may say that it has any number of bytes.
  @Test(arguments: [[.max], [.max >> 1], [.max >> 1, .max >> 1, 1 << 20]] as [[UInt64]])
  func sectionsThatNoFileCanHold(_ byteCounts: [UInt64]) throws {
    let devices = byteCounts.enumerated().map { Self.section($1, UInt32($0)) }
    #expect {
      try Self.plan().with(devices: devices)
    } throws: { error in
      guard case .plan(.deviceTooLong(let device, let found, _))? = error as? ImageError else {
        return false
      }
      return device.idstr == "gpu" && found == byteCounts[0]
    }
  }

  /// So may a manifest say where a device's buffers are.
  @Test(arguments: [1 << 62, .max - 4096, .max] as [UInt64]) func placesThatNoFileCanHave(
    _ end: UInt64
  ) throws {
    var device = DeviceSave(Self.gpu, from: TestDevice([]))
    device.places = DeviceSave.Places(offsets: [end &- 1], end: end, longest: 1)
    let plan = try SavePlan(
      prologue: StreamPrologue(configuration: .mappedRAM(machineType: "none")),
      blocks: [Self.block()], tail: [.bytes(TestGuest.tail)],
      streamOffset: FileOffset(UInt64(1) << 62), for: "made-up")
    #expect {
      try plan.with(devices: [device])
    } throws: { error in
      guard case .plan(.deviceTooLong(Self.gpu, _, _))? = error as? ImageError else { return false }
      return true
    }
  }

  /// A range that no file has is a size like any other.
  @Test func aTailThatNoFileHas() throws {
    let file = try File.inMemory(name: "tail", byteCount: 1)
    #expect {
      try SavePlan(
        prologue: StreamPrologue(configuration: .mappedRAM(machineType: "none")),
        blocks: [Self.block()], tail: [.file(file, 0..<UInt64.max)], for: "made-up")
    } throws: { error in
      guard case .format(let error, in: "made-up")? = error as? ImageError else { return false }
      return error.kind == .numberOverflow
    }
  }
}
