import QEMUArguments
import QEMUControl
import Testing

/// Disks of a command line, and overlays in their place.
@Suite struct CommandLineDiskTests {
  private func line(_ words: [String]) throws -> QEMUCommandLine {
    try QEMUCommandLine(parsing: ["qemu"] + words)
  }

  /// The disks that are found, as text, and the words once each has an overlay.
  private func cloned(_ words: String...) throws -> (disks: [String], words: [String]) {
    var line = try line(words)
    let disks = try line.writableDisks()
    for (number, disk) in disks.enumerated() { line.replace(disk, by: "/c/\(number)") }
    return (
      disks.map { "\($0.name) \($0.file) \($0.format?.rawValue ?? "?")" }, line.words
    )
  }

  @Test func aDriveKeepsWhatWasSaidOfIt() throws {
    let found = try cloned("-drive", "file=a,,b.img,if=none,id=d,format=raw,cache=none,aio=native")
    #expect(found.disks == ["d a,b.img raw"])
    #expect(
      found.words == ["-drive", "if=none,id=d,cache=none,aio=native,format=qcow2,file=/c/0"])
    #expect(
      try cloned("-drive", "driver=qcow2,file.filename=/d.qcow2").words
        == ["-drive", "driver=qcow2,file.filename=/c/0"])
  }

  @Test func aFileThatIsAnOptionIsReplaced() throws {
    let found = try cloned("-hda", "d.img", "-m", "1G", "e.img", "-pflash", "vars.fd")
    #expect(found.disks == ["disk0 d.img ?", "disk2 e.img ?", "disk3 vars.fd ?"])
    #expect(found.words == ["-hda", "/c/0", "-m", "1G", "/c/1", "-pflash", "/c/2"])
  }

  @Test(arguments: [
    ["-drive", "file=d,format=raw,readonly=on"], ["-drive", "file=d,format=raw,read-only=on"],
    ["-drive", "file=d,media=cdrom"], ["-drive", "file=d,format=raw,snapshot=on"],
    ["-drive", "if=ide,media=disk"], ["-cdrom", "d.iso"], ["-snapshot", "-hda", "d"],
    ["-snapshot", "-drive", "file=d"], ["-blockdev", "raw,node-name=d,read-only=on,file=f"],
    ["-blockdev", #"{"driver":"raw","read-only":true,"file":{"driver":"file","filename":"d"}}"#],
  ]) func whatNobodyWritesToIsLeft(_ words: [String]) throws {
    let line = try line(words)
    #expect(try line.writableDisks() == [])
    #expect(line.words == words)
  }

  @Test func aNodeWithItsFileInside() throws {
    #expect(
      try cloned(
        "-blockdev",
        "driver=qcow2,node-name=d,discard=unmap,file.driver=file,file.filename=/d,file.aio=native"
      )
      .words == [
        "-blockdev",
        "node-name=d,discard=unmap,file.aio=native,driver=qcow2,file.driver=file,file.filename=/c/0",
      ])
    let json = try cloned(
      "-blockdev",
      #"{"driver":"raw","node-name":"d","cache":{"direct":true},"file":{"driver":"host_device","filename":"/dev/sdx"}}"#
    )
    #expect(json.disks == ["d /dev/sdx raw"])
    #expect(
      json.words[1]
        == #"{"node-name": "d", "cache": {"direct": true}, "driver": "qcow2", "file": {"driver": "file", "filename": "/c/0"}}"#
    )
  }

  /// The node with the file is opened for reading alone, and its properties go to the overlay's file.
  @Test func aNodeOnAnother() throws {
    let found = try cloned(
      "-blockdev", "file,node-name=f,filename=/d,cache.direct=on,read-only=off",
      "-blockdev", "raw,node-name=d,file=f", "-device", "virtio-blk-pci,drive=d")
    #expect(found.disks == ["d /d raw"])
    #expect(
      found.words == [
        "-blockdev", "driver=file,node-name=f,filename=/d,cache.direct=on,read-only=on",
        "-blockdev",
        "node-name=d,driver=qcow2,file.driver=file,file.cache.direct=on,file.read-only=off,file.filename=/c/0",
        "-device", "virtio-blk-pci,drive=d",
      ])
  }

  @Test func aFileThatIsADiskItself() throws {
    #expect(
      try cloned("-blockdev", "driver=file,node-name=d,filename=/d,aio=native,cache.direct=on")
        .words
        == [
          "-blockdev",
          "node-name=d,cache.direct=on,driver=qcow2,file.driver=file,file.aio=native,file.filename=/c/0",
        ])
  }

  @Test(
    arguments: [
      (["-drive", "file=nbd://h/x,format=raw"], .noFile),
      (["-drive", "file=d,format=vmdk"], .format("vmdk")),
      (["-drive", "file=d,format=raw,offset=512"], .property("offset")),
      (["-drive", "file=d,format=qcow2,encrypt.key-secret=s"], .property("encrypt.key-secret")),
      (["-blockdev", "qcow2,node-name=d,file=f,backing=g"], .property("backing")),
      (["-blockdev", "qcow2,node-name=d,file=f"], .noFile),
      (["-blockdev", "throttle,node-name=d,file=f"], .format("throttle")),
      (["-hda", "fat:rw:/d"], .noFile),
      (["-readconfig", "c"], .unseen),
    ] as [([String], LaunchRefusal.CloneObstacle)])
  func whatHasNoOverlayIsRefused(_ words: [String], _ obstacle: LaunchRefusal.CloneObstacle) throws
  {
    let line = try line(words)
    let error = #expect(throws: LaunchRefusal.self) { try line.writableDisks() }
    guard case .cannotClone(let option, obstacle) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(option.hasPrefix("-") || option.hasPrefix("the disk"))
    #expect(error?.description.contains("qemu-img create -b") == true)
  }

  @Test func theGenerationIDIsEachOnesOwn() throws {
    #expect(try line([]).generationIDNote() == .noGenerationID)
    #expect(try line(["-device", "vmgenid"]).generationIDNote() == nil)
    #expect(try line(["-device", "vmgenid,guid=auto"]).generationIDNote() == nil)
    #expect(
      try line(["-device", #"{"driver":"vmgenid","guid":"1-2"}"#]).generationIDNote()
        == .sameGenerationID("1-2"))
  }
}
