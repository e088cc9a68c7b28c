import Foundation
import SystemPackage
import TestSupport
import Testing

/// How a stock QEMU loads an image.
enum LoadOptions: String, CaseIterable, Sendable {
  case plain
  case oneChannel
  case fourChannelsDirect

  /// For the harness; the stream begins at `offset`.
  func migration(offset: UInt64) -> QEMU.FileMigration {
    var how = QEMU.FileMigration()
    switch self {
    case .plain: break
    case .oneChannel: how.channels = 1
    case .fourChannelsDirect: (how.channels, how.isDirect) = (4, true)
    }
    how.offset = offset
    return how
  }
}

/// A new QEMU loads `image` and goes on.
///
/// Fails unless its memory is that of `source` to the byte, the guest's count goes on by one with the right sum, and QEMU has
/// nothing to say about the image.
///
/// - Parameters:
///   - offset: where the stream begins.
///   - variant: what the new VM is like.
///   - source: the VM that was saved, which does not run any more.
func expectRestored(
  _ image: FilePath, at offset: UInt64 = 0, as variant: Variant, from source: QEMU,
  _ load: LoadOptions
) throws {
  try expectRestored(image, as: variant, from: source, load.migration(offset: offset))
}

/// As the other function, loaded in any way.
func expectRestored(
  _ image: FilePath, as variant: Variant, from source: QEMU, _ how: QEMU.FileMigration
) throws {
  let directory = try TemporaryDirectory()
  if variant.usesFile {
    try Data(count: variant.mebibytes << 20).write(
      to: URL(fileURLWithPath: directory.file("dimm").string))
  }
  var configuration = variant.configuration(in: directory).destination
  // The image of a VM that ran would run at once.
  configuration.paused = true
  let target = try QEMU(configuration)
  try target.load(from: image, how)
  for place in variant.places {
    let memories = try [source, target].enumerated().map { index, qemu in
      let file = directory.file("memory \(index)")
      try qemu.execute(
        "pmemsave", ["val": place.address, "size": place.byteCount, "filename": file.string])
      return file
    }
    try expectSame(memories[0], memories[1])
  }
  try target.resume()
  try target.waitForLineEnds(2)
  try target.stop()
  let lines = try BootSectorGuest.lines(of: source.serial + target.serial)
  #expect(lines.map(\.count) == Array(1...UInt32(lines.count)))
  #expect(lines.allSatisfy { $0.sum == variant.guest.sum })
  #expect(target.log == "")
  try target.quit()
}

extension QEMU {
  /// Waits until the guest has ended `count` lines here. The first may have begun before the save, elsewhere.
  func waitForLineEnds(_ count: Int) throws {
    try wait(for: "\(count) ends of lines") { serial.utf8.count { $0 == 0x0A } >= count }
  }
}

extension SavedVM {
  /// As the function, of this VM.
  func expectRestored(_ image: FilePath, at offset: UInt64 = 0, _ load: LoadOptions) throws {
    try QEMUTests.expectRestored(image, at: offset, as: variant, from: qemu, load)
  }
}
