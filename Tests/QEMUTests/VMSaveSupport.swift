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
  func expectGoesOn(sum: UInt32, location: SourceLocation = #_sourceLocation) throws {
    try waitForGuestLines(try guestLines().count + 2)
    let lines = try guestLines()
    #expect(lines.map(\.count) == Array(1...UInt32(lines.count)), sourceLocation: location)
    #expect(lines.allSatisfy { $0.sum == sum }, sourceLocation: location)
  }
}

/// A part of guest-physical memory.
struct PhysicalRange {
  var address: UInt64
  var byteCount: UInt64

  init(_ address: UInt64, _ byteCount: UInt64) {
    (self.address, self.byteCount) = (address, byteCount)
  }
}

/// A stock QEMU of `configuration` loads `image` without a word and the guest goes on.
///
/// - Parameters:
///   - source: the VM that was saved. It must not run any more where `memory` is compared, or its lines are.
///   - memory: what both must have the same bytes in.
///   - continues: whether the guest stood still since the save, so that both VMs' lines are one count.
func expectLoaded(
  _ image: FilePath, into configuration: QEMU.Configuration, from source: QEMU, sum: UInt32,
  memory: [PhysicalRange] = [], continues: Bool = true, load: LoadOptions = .fourChannelsDirect,
  location: SourceLocation = #_sourceLocation
) throws {
  var configuration = configuration.destination
  configuration.paused = true
  let target = try QEMU(configuration)
  try target.load(from: image, load.migration(offset: 0))
  for range in memory {
    let files = try [source, target].map { qemu in
      let file = qemu.directory.file("compared")
      try qemu.execute(
        "pmemsave", ["val": range.address, "size": range.byteCount, "filename": file.string])
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
  let lines = try BootSectorGuest.lines(of: whole)
  let first = try #require(lines.first, sourceLocation: location).count
  #expect(
    lines.map(\.count) == Array(first..<(first + UInt32(lines.count))), sourceLocation: location)
  if continues { #expect(first == 1, sourceLocation: location) }
  #expect(lines.allSatisfy { $0.sum == sum }, sourceLocation: location)
  #expect(target.log == "", sourceLocation: location)
  try target.quit()
}

extension TemporaryDirectory {
  /// The names of all that is in it, hidden files as well.
  func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path.string).sorted()
  }
}
