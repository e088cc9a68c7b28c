import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Plain streams made of images, loaded by a stock QEMU without `mapped-ram`.
  @Suite struct PlainStreamWriterTests {
    /// All pages travel in the stream.
    @Test(
      arguments: [
        VMKind("q35"),
        VMKind("microvm at an offset", machine: "microvm", migration: .init(offset: 1000)),
        VMKind(
          "zeros not looked for", machine: "microvm", mebibytes: 4,
          migration: .init(zeroPageDetection: "none")),
        .numa(),
        VMKind(
          "live, two channels, direct", machine: "pc", isLive: true,
          migration: .init(channels: 2, isDirect: true)),
      ])
    func wholeStreamRunsOn(_ kind: VMKind) throws {
      let vm = try SavedVM(kind)
      for writesZeros in [false, true] {
        let stream = try vm.stream(to: "stream \(writesZeros)") {
          image, file throws(ImageError) in
          try PlainStreamWriter(image, in: file, writesZeros: writesZeros)
        }
        try expectStreamRestored(stream, as: kind, from: vm.qemu)
      }
    }

    /// The main RAM is the image itself, mapped copy-on-write; the stream has the pages of the others. The block's name at the
    /// destination is its backend's.
    @Test(arguments: ["main", "pc.ram"])
    func streamWithoutMainRAMRunsOnOverTheMappedImage(_ name: String) throws {
      let vm = try SavedVM(VMKind("q35"))
      try expectMappedImageRunsOn(vm, name)
    }

    /// Stale slots of a live save are cleared before.
    @Test func mappedImageOfALiveSaveRunsOn() throws {
      // On a machine that has much to do, the guest may not come to clear a page between two of QEMU's rounds.
      for _ in 0..<10 {
        let vm = try SavedVM(VMKind("live", isLive: true))
        let file = try File.open(vm.image, access: .readWrite)
        let found = try StaleSlots.clear(in: Image(reading: file).blocks, of: file)
        #expect(found.remaining.isEmpty)
        if found.clearedPages == 0 { continue }
        return try expectMappedImageRunsOn(vm, "pc.ram")
      }
      Issue.record("no live save of QEMU's has left a stale slot")
    }

    private func expectMappedImageRunsOn(_ vm: SavedVM, _ name: String) throws {
      let file = try File.open(vm.image, access: .read)
      let image = try Image(reading: file)
      let main = try #require(image.blocks.first { $0.idstr == "pc.ram" })
      let slots = try #require(main.layout.pages).lowerBound.rawValue
      let others = Set(image.blocks.map(\.idstr)).subtracting(["pc.ram"])
      let stream = try vm.stream(to: "stream") { image, file throws(ImageError) in
        try PlainStreamWriter(image, in: file, carrying: others, renaming: ["pc.ram": name])
      }
      let backend =
        "memory-backend-file,id=\(name),size=8M,mem-path=\(vm.image),offset=\(slots),share=off"
      let mapped = VMKind(
        "mapped", machine: "q35,memory-backend=\(name)", isLive: vm.kind.migration.isLive,
        main: name
      ) { $0.arguments = ["-object", backend] }
      let before = try Subprocess.succeed(["sha256sum", vm.image.string]).text
      try expectStreamRestored(stream, as: mapped, from: vm.qemu)
      #expect(try Subprocess.succeed(["sha256sum", vm.image.string]).text == before)
    }

    private func expectStreamRestored(
      _ stream: FilePath, as kind: VMKind, from source: QEMU
    ) throws {
      var how = QEMU.FileMigration()
      how.isMapped = false
      try expectRestored(stream, as: kind, from: source, how)
    }
  }
}

extension SavedVM {
  /// Makes a stream of the image.
  fileprivate func stream(
    to name: String, _ make: (Image, File) throws(ImageError) -> PlainStreamWriter
  ) throws -> FilePath {
    let file = try File.open(image, access: .read)
    let offset = kind.migration.offset == 0 ? nil : FileOffset(kind.migration.offset)
    let stream = try make(Image(reading: file, streamOffset: offset), file)
    #expect(stream.configuration.capabilities == [])
    let path = directory.file(name)
    try Subprocess.succeed(["touch", path.string])
    let byteCount = try stream.write(to: File.open(path, access: .readWrite, directIO: .off))
    #expect(try File.open(path, access: .read).size() == byteCount)
    return path
  }
}
