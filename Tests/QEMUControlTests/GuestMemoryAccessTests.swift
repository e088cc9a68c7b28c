import Foundation
import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import QMP
import SystemPackage
import TestSupport
import Testing

@testable import QEMUControl

/// Whose memory is taken for the VM's: a QEMU may be hostile, and tell any process.
@Suite struct GuestMemoryAccessTests {
  /// Memory of this process, which is told as the VM's.
  private let memory: [UInt8] = Array(repeating: 7, count: 64 << 10)

  /// A VM whose QEMU says that this process is its own.
  private func vm(ofUser userID: UInt32) throws -> RunningVM {
    // SAFETY: only the kernel reads through the address, while `memory` lives.
    let address = unsafe memory.withUnsafeBytes { UInt64(UInt(bitPattern: $0.baseAddress)) }
    return vm(ofUser: userID, at: address)
  }

  /// The same, with its memory at `address`.
  private func vm(ofUser userID: UInt32, at address: UInt64) -> RunningVM {
    RunningVM(
      version: QEMUVersion(10, 0, 2), name: nil, uuid: nil, isManagedByLibvirt: false,
      target: "x86_64", machineType: "pc-q35-10.0", runState: .running,
      processorThreads: [getpid()], peerProcessID: nil, peerUserID: userID,
      blocks: [
        GuestBlock(
          idstr: "pc.ram", usedLength: ByteCount(4096), maxLength: ByteCount(4096),
          hostAddress: address)
      ],
      namelessBlocks: [], backends: [], memoryDevices: [], disks: [], capabilities: [:],
      parameters: [:], migration: MigrationInfo(blockedReasons: []), obstacles: [])
  }

  @Test func processOfAnotherUserThanTheSocketsIsNotTouched() throws {
    let other = geteuid() + 1
    let vm = try vm(ofUser: other)
    guard case .failure(let obstacle) = GuestMemory.access(to: vm) else {
      Issue.record("it was taken for QEMU")
      return
    }
    #expect(obstacle == .foreignProcess(getpid(), userID: geteuid(), peerUserID: other))
    #expect(
      obstacle.description == "QEMU's process, as it reports, is \(getpid()) of user \(geteuid()), "
        + "but user \(other) listens on the socket."
    )
    // Somebody has told it who is not QEMU.
    #expect(try GuestMemory.access(to: vm, processID: getpid()).get().processID == getpid())
  }

  /// Root makes sockets for others, and QEMU may have been root.
  @Test func processOfTheSocketsUserIsTaken() throws {
    for user in [geteuid(), 0] {
      let memory = try GuestMemory.access(to: try vm(ofUser: user)).get()
      #expect(memory.processID == getpid())
      #expect(!memory.process.hasEnded)
    }
  }

  /// A QEMU of another user may have mapped any file that it may read, and root would write a guest's memory into that.
  @Test(arguments: [Mapping.Mode.read, .sharedWrite])
  func onlyAFileThatQEMUMayWriteIsWritten(mode: Mapping.Mode) throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("memory")
    try Data(repeating: 1, count: 4096).write(to: URL(filePath: path.string))
    let file = try File.open(path, access: mode == .read ? .read : .readWrite)
    let mapping = try Mapping(file, range: 0..<4096, mode: mode)
    // SAFETY: only the kernel reads through the address, while `mapping` lives.
    let address = unsafe UInt64(UInt(bitPattern: mapping.bytes.baseAddress))
    let memory = try GuestMemory.access(to: vm(ofUser: geteuid(), at: address)).get()
    let place = try #require(memory.places.first)
    #expect(memory.filePages(of: place, .read) != nil)
    #expect((memory.filePages(of: place, .readWrite) != nil) == (mode == .sharedWrite))
    withExtendedLifetime(mapping) {}
  }
}
