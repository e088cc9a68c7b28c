import Foundation
import LinuxIO
import MappedRAM
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension VMSave {
  /// A save into `image` that the built command watches over.
  static func watched(to image: FilePath) -> VMSave {
    var save = VMSave(to: image)
    save.watchdogProgram = Tool.path
    return save
  }
}

extension QEMU {
  /// Saves this VM through its second socket, as a program would.
  @discardableResult
  func saveVM(
    to image: FilePath, cancellation: Cancellation = Cancellation(),
    _ change: (inout VMSave) -> Void = { _ in }
  ) throws -> VMSaveReport {
    let connection = try QMPConnection(connecting: qmpSocket)
    var save = VMSave.watched(to: image)
    change(&save)
    return try save.run(connection, cancellation: cancellation)
  }

  /// Fails unless the guest has counted on without a gap, and does so now for two more lines.
  func expectGoesOn(
    sum: UInt32? = nil, location: SourceLocation = #_sourceLocation
  ) throws {
    try waitForGuestLines(try guestLines().count + 2)
    try expectLines(of: serial, sum: sum ?? guestSum, location: location)
  }

  /// The sum that each line of the guest must show.
  var guestSum: UInt32 { configuration.guest?.sum ?? 0 }
}

/// Fails unless `serial`, what a guest printed on the serial ports of the VMs that it was in, one after the other, counts up from 1 without
/// a gap, and each line has `sum`.
func expectLines(
  of serial: String, from first: UInt32 = 1, sum: UInt32,
  location: SourceLocation = #_sourceLocation
) throws {
  let lines = try BootSectorGuest.lines(of: serial)
  #expect(
    lines.map(\.count) == Array(first..<(first + UInt32(lines.count))), sourceLocation: location)
  #expect(lines.allSatisfy { $0.sum == sum }, sourceLocation: location)
}

extension QEMU.Configuration {
  /// The least VM that has all: a q35 of 8 MiB with its guest.
  static let small = VMKind("q35").configuration
}

/// A stock QEMU of `configuration` loads `image` without a word, and the guest runs there.
///
/// - Parameters:
///   - source: the VM that was saved. It must not run any more where `memory` is compared, or its lines are.
///   - sum: what the guest's lines must show, where it is not the one of `source`'s configuration.
///   - memory: what both must have the same bytes in.
///   - continues: whether the guest was paused since the save, so that both VMs' lines are one count.
func expectLoaded(
  _ image: FilePath, into configuration: QEMU.Configuration, from source: QEMU,
  sum: UInt32? = nil, memory: [Range<UInt64>] = [], continues: Bool = true,
  load: QEMU.FileMigration = LoadOptions.fourChannelsDirect.migration(),
  location: SourceLocation = #_sourceLocation
) throws {
  var configuration = configuration.destination
  // The image of a VM that ran would run at once.
  configuration.paused = true
  let target = try QEMU(configuration)
  try target.load(from: image, load)
  for range in memory {
    let files = try [source, target].map { qemu in
      let file = qemu.directory.file("compared")
      try qemu.execute(
        "pmemsave", ["val": range.lowerBound, "size": range.count, "filename": file.string])
      return file
    }
    try expectSame(files[0], files[1])
  }
  try target.resume()
  try target.waitForLineEnds(3)
  try target.stop()
  let text = continues ? source.serial + target.serial : target.serial
  // The first line here may have begun before the save.
  let whole = continues ? text : String(text.drop { $0 != "\n" }.dropFirst())
  let first = try #require(BootSectorGuest.lines(of: whole).first, sourceLocation: location)
  try expectLines(
    of: whole, from: continues ? 1 : first.count, sum: sum ?? source.guestSum, location: location)
  #expect(target.log == "", sourceLocation: location)
  try target.quit()
}

extension TemporaryDirectory {
  /// The names of all that is in it, hidden files as well.
  func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path.string).sorted()
  }
}
