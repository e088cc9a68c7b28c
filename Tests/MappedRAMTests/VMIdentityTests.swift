import Foundation
import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

@Suite struct VMIdentityTests {
  @Test func whatIsNotKnownDoesNotDiffer() {
    let known = VMIdentity(machineType: "pc", name: "a", uuid: [UInt8](repeating: 1, count: 16))
    #expect(VMIdentity().differences(from: known) == [])
    #expect(known.differences(from: VMIdentity()) == [])
    #expect(known.differences(from: known) == [])
    // Zeros are QEMU's word for none.
    #expect(VMIdentity(uuid: [UInt8](repeating: 0, count: 16)) == VMIdentity())
  }

  @Test func eachPartDiffers() {
    let one = VMIdentity(machineType: "pc", name: "a", uuid: [UInt8](repeating: 1, count: 16))
    let two = VMIdentity(machineType: "q35", name: "b", uuid: [UInt8](repeating: 2, count: 16))
    #expect(
      two.differences(from: one) == [
        #"machine type "pc", and not "q35""#, #"name "a", and not "b""#,
        #"UUID "01010101-0101-0101-0101-010101010101", and not "02020202-0202-0202-0202-020202020202""#,
      ])
  }

  /// libvirt's images tell the domain's name and UUID.
  @Test(arguments: Fixture.complete)
  func fixturesTell(_ fixture: Fixture) throws {
    let directory = try TemporaryDirectory()
    let file = try File.open(try fixture.unpack(into: directory), access: .read, directIO: .off)
    let identity = try VMIdentity(ofImage: ImageFile(file), streamOffset: nil)
    let image = try Image(reading: file)
    guard image.prologue != nil else { return }
    #expect(identity.machineType == image.prologue?.configuration.machineType)
    if case .libvirt = image.container {
      #expect(identity.name != nil && identity.uuid?.count == 16)
    } else {
      #expect(identity.name == nil)
    }
  }

  /// An image counts wherever its stream begins, whatever place the new one is to have.
  @Test(arguments: [false, true], [0, 4096, 1 << 20])
  func anImageIsKnownAtAnyPlace(hasPrefix: Bool, new: UInt64) throws {
    let directory = try TemporaryDirectory()
    let other = VMIdentity(machineType: "pc-q35-0.1")
    // What stands before the other's stream is no image.
    let fixture = try Fixture(hasPrefix ? "offset" : "pc")
    let path = try fixture.unpack(into: directory)
    let isSeen = !hasPrefix || new == fixture.expected.streamOffset
    #expect {
      try TargetContents.check(
        path, inPlace: false, streamOffset: FileOffset(new), replacing: .images, vm: other)
    } throws: {
      switch $0 as? ImageError {
      case .target(.anotherVM(path, _)): isSeen
      case .target(.notAnImage(path, _)): !isSeen
      default: false
      }
    }
  }

  @Test func aDamagedImageIsNobodys() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("image")
    try Data([0x51, 0x45, 0x56, 0x4D, 0, 0]).write(to: URL(fileURLWithPath: path.string))
    let file = try File.open(path, access: .read, directIO: .off)
    #expect(try VMIdentity(ofImage: ImageFile(file), streamOffset: nil) == VMIdentity())
  }
}
