import QEMUArguments
import QEMUControl
import Testing

@Suite struct CommandLineMapTests {
  static let mapping =
    "size=16777216,share=off,readonly=on,rom=off,x-use-canonical-path-for-ramblock-id=off"

  @Test(arguments: ["pc.ram", "mach-virt.ram", "microvm.ram", "s390.ram", "ram"])
  func mainMemoryGetsABackend(idstr: String) throws {
    let (words, outcome) = try map("-M x -m 16M", [idstr])
    #expect(
      words == [
        "-M", "x", "-m", "16M", "-object",
        "qom-type=memory-backend-file,id=\(idstr),mem-path=/i,,mg,offset=1048576,\(Self.mapping)",
        "-machine", "memory-backend=\(idstr)",
      ])
    #expect(outcome.mapped == [idstr])
    #expect(outcome.notes == [])
  }

  @Test func blocksThatAreNoMemoryAreLeft() throws {
    let (words, outcome) = try map("-m 16M", ["vga.vram", "pc.bios", "/rom@etc/acpi/tables"])
    #expect(words == ["-m", "16M"])
    #expect(outcome == MappedMemory.Outcome())
  }

  @Test func nothingIsMappedWithoutAMachine() throws {
    #expect(try map("-M none", ["pc.ram"]).words == ["-M", "none"])
  }

  @Test func optionsThatFillMemoryAreTakenOut() throws {
    let (words, outcome) = try map(
      "-mem-path /hp -mem-prealloc -overcommit mem-lock=on", ["pc.ram"])
    #expect(!words.contains("-mem-path") && !words.contains("-mem-prealloc"))
    #expect(
      outcome.notes == [
        .notUsed(option: "-mem-path"), .notUsed(option: "-mem-prealloc"), .lockedMemory,
      ])
    // Where nothing is mapped they stay.
    #expect(
      try map("-mem-path /hp -mem-prealloc", ["x"]).words == ["-mem-path", "/hp", "-mem-prealloc"])
  }

  @Test func usersBackendKeepsWhatStillApplies() throws {
    let (words, outcome) = try map(
      "-object memory-backend-memfd,id=m,size=16M,share=on,hugetlb=on,hugetlbsize=2M,seal=off,host-nodes=0,"
        + "policy=bind,merge=on,dump=off,reserve=off,prealloc=on,prealloc-threads=4 "
        + "-machine q35,memory-backend=m", ["m"])
    #expect(
      words == [
        "-object",
        "qom-type=memory-backend-file,id=m,mem-path=/i,,mg,offset=1048576,\(Self.mapping),"
          + "host-nodes=0,policy=bind,merge=on,dump=off,reserve=off",
        "-machine", "q35,memory-backend=m",
      ])
    #expect(outcome.mapped == ["m"])
    #expect(
      outcome.notes == [
        .notShared(id: "m"), .notUsed(option: "hugetlb=on of m"),
        .notUsed(option: "prealloc=on of m"),
      ])
  }

  @Test func backendInJSONStaysJSON() throws {
    let (words, _) = try map(
      #"-object {"qom-type":"memory-backend-ram","id":"m","size":16777216,"host-nodes":[0,1],"policy":"bind"} -machine memory-backend=m"#,
      ["m"])
    #expect(
      words[1]
        == #"{"qom-type": "memory-backend-file", "id": "m", "mem-path": "/i,mg", "offset": 1048576, "size": 16777216, "#
        + #""share": false, "readonly": true, "rom": "off", "x-use-canonical-path-for-ramblock-id": false, "#
        + #""host-nodes": [0, 1], "policy": "bind"}"#)
  }

  @Test func nodesAndDimmsAreMapped() throws {
    let (words, outcome) = try map(
      "-object memory-backend-ram,id=n0,size=16M -object memory-backend-ram,size=16M,id=n1 "
        + "-numa node,memdev=n0 -numa node,nodeid=1,memdev=n1 "
        + "-object memory-backend-file,id=d,size=16M,mem-path=/x -device pc-dimm,id=dd,memdev=d",
      ["n0", "n1", "/objects/d", "pc.ram"])
    #expect(outcome.mapped == ["n0", "n1", "/objects/d"])
    #expect(words[3].contains("id=n1,mem-path=/i,,mg,offset=17825792,"))
    #expect(words[9].hasSuffix(",x-use-canonical-path-for-ramblock-id=on"))
    #expect(outcome.notes == [.notUsed(option: "mem-path=/x of d")])
  }

  @Test func memoryThatADeviceGivesUpIsNotMapped() throws {
    let text =
      "-object memory-backend-ram,id=v,size=16M -device virtio-mem-pci,memdev=v "
      + #"-object memory-backend-ram,id=p,size=16M -device {"driver":"nvdimm","memdev":"p"}"#
    let (words, outcome) = try map(text, ["0000:00:02.0/v", "p"])
    #expect(words == text.split(separator: " ").map(String.init))
    #expect(outcome.mapped == [])
    #expect(
      outcome.notes == [
        .keptBackend(id: "v", driver: "virtio-mem-pci"), .keptBackend(id: "p", driver: "nvdimm"),
      ])
  }

  @Test func backendThatNothingUsesOrTheImageLacksIsLeft() throws {
    let text = "-object memory-backend-ram,id=m,size=16M"
    #expect(try map(text, ["m"]).words == text.split(separator: " ").map(String.init))
    let used = text + " -machine memory-backend=m"
    #expect(try map(used, ["pc.ram"]).words == used.split(separator: " ").map(String.init))
  }

  @Test(
    arguments: [
      ("-m 15M", "pc.ram", 15 << 20, "-m"),
      ("-m 17M", "pc.ram", 17 << 20, "-m"),
      (
        "-object memory-backend-ram,id=m,size=8M -machine memory-backend=m", "m", 8 << 20,
        "-object memory-backend-ram,id=m"
      ),
      (
        "-m 8M -object memory-backend-ram,id=m -machine memory-backend=m", "m", 8 << 20, "-m"
      ),
    ] as [(String, String, UInt64, String)])
  func otherSizesAreRefused(text: String, idstr: String, size: UInt64, option: String) throws {
    var line = try line(text)
    let before = line
    #expect(
      throws: LaunchRefusal.memorySize(
        idstr: idstr, image: 16 << 20, arguments: size, option: option)
    ) { try line.map(memory([idstr])) }
    #expect(line == before)
  }

  @Test(arguments: [
    "-device vhost-user-fs-pci,chardev=c", "-netdev vhost-user,id=n,chardev=c",
    #"-device {"driver":"vhost-user-blk-pci"}"#,
  ]) func memoryForAnotherProcessIsRefused(text: String) throws {
    var line = try line(text)
    let before = line
    #expect(throws: LaunchRefusal.self) { try line.map(memory(["pc.ram"])) }
    #expect(line == before)
    // Without a mapping nothing is wrong with it.
    #expect(try line.map(memory(["other"])).mapped == [])
  }

  @Test func balloonsAndFilesOfOptionsAreNoted() throws {
    let outcome = try map("-device virtio-balloon-pci,id=b -readconfig f", ["pc.ram"]).outcome
    #expect(
      outcome.notes == [.balloonKeepsMemory(driver: "virtio-balloon-pci"), .unseen(file: "f")])
  }

  @Test(arguments: ["-object", "-device"]) func JSONThatIsNoneIsRefused(option: String) throws {
    var line = try line("\(option) {'id':'m'}")
    #expect(throws: LaunchRefusal.unreadable(option: option, value: "{'id':'m'}")) {
      try line.map(memory(["pc.ram"]))
    }
  }

  @Test func memoryIsNotSetAsideUnlessTheUserSaysSo() throws {
    var memory = memory(["pc.ram", "m"])
    memory.reserves = false
    var plain = try line("-m 16M")
    _ = try plain.map(memory)
    #expect(plain.values(of: "object")[0].hasSuffix(",reserve=off"))
    var said = try line(
      "-object memory-backend-ram,id=m,size=16M,reserve=on -machine memory-backend=m")
    _ = try said.map(memory)
    #expect(said.values(of: "object")[0].hasSuffix(",reserve=on"))
    #expect(!said.values(of: "object")[0].contains("reserve=off"))
  }

  /// The address is aligned where the file's offsets are, in either way of writing.
  @Test func hugePagesNeedAnAlignedAddress() throws {
    var memory = memory(["pc.ram", "m"])
    for index in memory.blocks.indices { memory.blocks[index].fitsHugePages = true }
    var plain = try line("-m 16M")
    _ = try plain.map(memory)
    #expect(plain.values(of: "object")[0].contains(",rom=off,align=2097152,"))
    var json = try line(
      #"-object {"qom-type":"memory-backend-ram","id":"m","size":16777216} -machine memory-backend=m"#
    )
    _ = try json.map(memory)
    #expect(json.values(of: "object")[0].contains(#""rom": "off", "align": 2097152, "#))
  }

  private func map(
    _ text: String, _ idstrs: [String]
  ) throws -> (words: [String], outcome: MappedMemory.Outcome) {
    var line = try line(text)
    let outcome = try line.map(memory(idstrs))
    return (line.words, outcome)
  }

  /// Blocks of 16 MiB, from 1 MiB on.
  private func memory(_ idstrs: [String]) -> MappedMemory {
    MappedMemory(
      path: "/i,mg",
      blocks: idstrs.enumerated().map { index, idstr in
        MappedMemory.Block(
          idstr: idstr, byteCount: 16 << 20, offset: 1 << 20 + UInt64(index) * 16 << 20)
      })
  }

  private func line(_ text: String) throws -> QEMUCommandLine {
    try QEMUCommandLine(parsing: ["qemu"] + text.split(separator: " ").map(String.init))
  }
}
