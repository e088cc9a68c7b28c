import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// A VM that runs its guest, is saved by QEMU, and stays there to be asked what is in its memory.
struct SavedVM {
  let kind: VMKind
  let directory: TemporaryDirectory
  let qemu: QEMU
  /// What QEMU wrote.
  let image: FilePath

  /// What stands before the stream, if it has an offset: QEMU leaves it alone.
  static let prefixByte: UInt8 = 0xEE

  init(_ kind: VMKind) throws {
    self.kind = kind
    directory = try TemporaryDirectory()
    image = directory.file("qemu.img")
    let prefix = Data(repeating: Self.prefixByte, count: Int(kind.migration.offset))
    try prefix.write(to: URL(fileURLWithPath: image.string))
    if kind.usesFile {
      try Self.dimm(byteCount: 8 << 20).write(
        to: URL(fileURLWithPath: directory.file("dimm").string))
    }
    qemu = try QEMU(kind.configuration(in: directory))
    try qemu.waitForGuestLines(2)
    kind.migration.isLive ? try saveInRounds() : try qemu.save(to: image, kind.migration)
  }

  /// Lets QEMU go over the memory several times, so that slots keep what is no longer there.
  private func saveInRounds() throws {
    var how = kind.migration
    how.maxBandwidth = 24 << 20
    try qemu.prepare(how)
    try qemu.execute("migrate-set-parameters", ["downtime-limit": 1])
    try qemu.startSave(to: image, how)
    // Between two rounds the guest may have been anywhere: with more of them, pages have become zero for certain.
    try qemu.wait(for: "the seventh round") {
      let answer = try qemu.execute("query-migrate") as? [String: Any]
      let ram = answer?["ram"] as? [String: Any]
      return (ram?["dirty-sync-count"] as? Int ?? 0) >= 8
    }
    try qemu.execute("migrate-set-parameters", ["downtime-limit": 60000, "max-bandwidth": 0])
    try qemu.waitForMigration()
  }

  /// What stands in the pc-dimm from the beginning: bytes by the seed and zero pages.
  private static func dimm(byteCount: Int) -> Data {
    var generator = SeededGenerator()
    var data = Data(count: byteCount)
    for place in [0, 0x9000, 0x10_0000, byteCount - 0x3000] {
      data.replaceSubrange(place..<place + 0x3000, with: generator.bytes(0x3000))
    }
    return data
  }

  /// Takes the image apart with our restore.
  func takeApart(
    _ image: FilePath? = nil, to name: String, _ options: ChannelOptions = ChannelOptions()
  ) throws -> Apart {
    let file = try File.open(image ?? self.image, access: .read, directIO: options.directIO)
    let offset = kind.migration.offset == 0 ? nil : FileOffset(kind.migration.offset)
    let path = directory.file(name)
    let restore = ImageRestore(file, streamOffset: offset, options: options)
    let outcome = try DirectoryRestore(restore, to: path).run()
    return Apart(path: path, outcome: outcome, manifest: try DirectoryManifest(readingFrom: path))
  }

  /// Fails if a block's file is not what QEMU itself says is in the VM's memory.
  func expectMemory(of apart: Apart) throws {
    for place in kind.memory {
      let saved = directory.file("pmemsave")
      try qemu.execute(
        "pmemsave",
        ["val": place.range.lowerBound, "size": place.range.count, "filename": saved.string])
      try expectSame(
        saved, apart.file(of: place.idstr), skipping: (0, place.offset),
        count: UInt64(place.range.count))
    }
    for (idstr, backend) in [("main", directory.file("main")), ("d0", directory.file("dimm"))]
    where apart.manifest.blocks.contains(where: { $0.idstr == idstr }) && exists(backend) {
      try expectSame(backend, apart.file(of: idstr))
    }
  }
}

/// A directory that our restore made.
struct Apart {
  let path: FilePath
  let outcome: DirectoryRestore.Outcome
  let manifest: DirectoryManifest

  /// The file of a block.
  func file(of idstr: String) throws -> FilePath {
    path.appending(try #require(manifest.blocks.first { $0.idstr == idstr }?.file))
  }

  /// The blocks with their files, in the order of the list.
  var blocks: [(idstr: String, file: FilePath)] {
    manifest.blocks.compactMap { block in block.file.map { (block.idstr, path.appending($0)) } }
  }
}

/// Whether something is at `path`.
func exists(_ path: FilePath) -> Bool { FileManager.default.fileExists(atPath: path.string) }

/// Fails if two files, or `count` bytes of them after those that are skipped, differ; says where.
func expectSame(
  _ left: FilePath, _ right: FilePath, skipping skipped: (UInt64, UInt64) = (0, 0),
  count: UInt64? = nil
) throws {
  var arguments = ["cmp", "--ignore-initial=\(skipped.0):\(skipped.1)"]
  if let count { arguments.append("--bytes=\(count)") }
  let result = try Subprocess.run(arguments + [left.string, right.string])
  #expect(result.status == 0, "\(result.text)\(result.errors)")
}
