import MappedRAMFormat

/// The table of an area of facts.
enum FactsTarget {
  static let seeds = [
    FuzzSeed("none", ImageFacts().text),
    FuzzSeed(
      "all",
      ImageFacts(
        time: 1, host: "h", tool: "t", name: "n", uuid: "u", qemuVersion: "10.0.2",
        commandLine: ["q", "-m", "1G"],
        memoryDevices: [
          ImageFacts.MemoryFacts(kind: "dimm", backend: "m", address: 1 << 32, node: 0)
        ],
        disks: [
          ImageFacts.DiskFacts(
            name: "d", file: "/d", format: "raw", guestByteCount: 512,
            state: ImageFacts.FileState(
              byteCount: .max, modifiedSeconds: -1, modifiedNanoseconds: 2, device: 3, inode: 4)),
          ImageFacts.DiskFacts(name: "e", file: "nbd://e", format: "qcow2"),
        ]
      ).text),
  ]

  static func run(_ bytes: [UInt8]) throws(Finding) -> Bool {
    let facts: ImageFacts
    do throws(FormatError) {
      facts = try ImageFacts(parsing: bytes)
    } catch {
      _ = error.description
      return false
    }
    let again = try succeed("facts that were written") { () throws(FormatError) in
      try ImageFacts(parsing: facts.text)
    }
    try require(again == facts, "the facts are not what they were read as")
    return true
  }
}
