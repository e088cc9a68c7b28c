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
  func migration(offset: UInt64 = 0) -> QEMU.FileMigration {
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

/// As `expectLoaded`, into a VM of `kind`, with all that is RAM for its guest.
func expectRestored(
  _ image: FilePath, at offset: UInt64 = 0, as kind: VMKind, from source: QEMU,
  _ load: LoadOptions
) throws {
  try expectRestored(image, as: kind, from: source, load.migration(offset: offset))
}

/// As the other function, loaded in any way.
func expectRestored(
  _ image: FilePath, as kind: VMKind, from source: QEMU, _ how: QEMU.FileMigration
) throws {
  let directory = try TemporaryDirectory()
  if kind.usesFile {
    try Data(count: 8 << 20).write(to: URL(fileURLWithPath: directory.file("dimm").string))
  }
  try expectLoaded(
    image, into: kind.configuration(in: directory), from: source,
    memory: kind.memory.map(\.range), load: how)
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
    try QEMUTests.expectRestored(image, at: offset, as: kind, from: qemu, load)
  }
}
