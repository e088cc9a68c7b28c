import ArgumentParser
import MappedRAM
import MappedRAMFormat
import SystemPackage
import Testing

@testable import MappedRAMCommands

/// `--device` and what belongs to it, on the command line.
@Suite struct DeviceArgumentTests {
  @Test(arguments: [
    ("gpu=f", DeviceIdentity("gpu"), DeviceArgument.End.file("f")),
    ("gpu:3=a=b", DeviceIdentity("gpu", instanceID: 3), .file("a=b")),
    ("0000:00:02.0/vfio=/x", DeviceIdentity("0000:00:02.0/vfio"), .file("/x")),
    ("a:b:4294967295=f", DeviceIdentity("a:b", instanceID: .max), .file("f")),
    ("gpu=|cat x | tac", DeviceIdentity("gpu"), .command("cat x | tac")),
    ("gpu=|  cat", DeviceIdentity("gpu"), .command("cat")),
  ])
  func saysWhatAndWhere(_ text: String, _ device: DeviceIdentity, _ end: DeviceArgument.End) {
    let argument = DeviceArgument(argument: text)
    #expect(argument?.identity == device && argument?.end == end)
  }

  @Test(arguments: [
    "", "gpu", "gpu=", "=f", ":1=f", "gpu=|", "gpu=| ", "gpu:4294967296=f", "g\n=f",
  ])
  func refusesWhatIsNone(_ text: String) {
    #expect(DeviceArgument(argument: text) == nil)
  }

  @Test func aSectionHasAVersion() {
    #expect(
      DeviceSection(argument: "gpu:1=7")
        == DeviceSection(argument: "gpu:1=007"))
    #expect(DeviceSection(argument: "gpu:1=7")?.identity == DeviceIdentity("gpu", instanceID: 1))
    for text in ["gpu", "gpu=", "gpu=x", "=1", "gpu=-1"] {
      #expect(DeviceSection(argument: text) == nil)
    }
  }

  @Test(arguments: [
    "--device a=f --device a=g", "--device a=f --device-section b=1",
    "--device a=f --device-section a=1 --device-section a=2",
  ])
  func saveRefusesWhatDoesNotFit(_ options: String) {
    #expect(throws: (any Error).self) {
      try SaveCommand.parse(
        ["s", "x.img"] + options.split(separator: " ").map(String.init))
    }
  }

  @Test func qemuSavesItsOwnDevicesAlone() {
    #expect(throws: (any Error).self) {
      try SaveCommand.parse(["s", "x.img", "--engine", "qemu", "--device", "a=f"])
    }
  }

  /// Two devices that are written alike are two: the first instance of "a:1" is not the second of "a".
  @Test func whatIsLoadedLastIsADeviceAndNotAText() throws {
    let words = ["x.img", "s", "--device", "a:1:0=|cat", "--device-last"]
    let command = try RestoreCommand.parse(words + ["a:1:0"])
    let targets = try command.devices.targets(replacing: .images)
    #expect(targets.count == 1 && targets.values.allSatisfy(\.loadsLast))
    #expect(throws: (any Error).self) { try RestoreCommand.parse(words + ["a:1"]) }
  }

  @Test(arguments: ["--device a=f --device a=g", "--device a=f --device-last b", "--device-last a"])
  func restoreRefusesWhatDoesNotFit(_ options: String) {
    #expect(throws: (any Error).self) {
      try RestoreCommand.parse(
        ["x.img", "s"] + options.split(separator: " ").map(String.init))
    }
  }
}
