import Glibc
import LinuxIO
import LinuxProcesses
import SystemPackage
import TestSupport
import Testing

@Suite struct ProcessMemoryTests {
  let page = UInt64(sysconf(Int32(_SC_PAGESIZE)))

  @Test(arguments: [0, 1, 4095, 4096, 4097, 100_000])
  func whatIsWrittenToAnotherProcessIsReadBack(count: Int) throws {
    let process = try IdleProcess()
    let heap = try #require(try process.heap)
    let memory = ProcessMemory(of: process.processID)
    var generator = SeededGenerator()
    let bytes = generator.bytes(count)
    let place = heap.upperBound - UInt64(count) - 7
    try write(bytes, memory, place)
    #expect(try read(memory, place, count) == bytes)
    try memory.probe(place)
  }

  @Test func aRangeThatEndsOutsideTheMemoryIsAnError() throws {
    let process = try IdleProcess()
    let heap = try #require(try process.heap)
    let memory = ProcessMemory(of: process.processID)
    let start = heap.upperBound - page
    #expect(
      throws: SystemCallError(
        call: .process_vm_readv, errno: .badAddress,
        subject: .processMemory(process.processID, heap.upperBound..<start + 3 * page))
    ) { try read(memory, start, 3 * Int(page)) }
    #expect(
      throws: SystemCallError(
        call: .process_vm_writev, errno: .badAddress,
        subject: .processMemory(process.processID, heap.upperBound..<start + page + 1))
    ) { try write([UInt8](repeating: 7, count: Int(page) + 1), memory, start) }
    #expect(try read(memory, heap.upperBound - 1, 1) == [7])
    #expect(throws: SystemCallError.self) { try memory.probe(heap.upperBound) }
  }

  @Test func memoryThatTheProcessMayNotWriteIsNotWritten() throws {
    let process = try IdleProcess()
    // The first one is of the program's file, its headers.
    let map = try #require(try MemoryMap.all(of: process.processID).first)
    let memory = ProcessMemory(of: process.processID)
    try memory.probe(map.addresses.lowerBound)
    let error = #expect(throws: SystemCallError.self) {
      try write([1], memory, map.addresses.lowerBound)
    }
    #expect(error?.errno == .badAddress)
    #expect(error?.call == .process_vm_writev)
    #expect(error?.advice?.contains("mappings") == true)
  }

  @Test(arguments: [0, UInt64.max, UInt64.max - 1, 1 << 47, 1 << 63])
  func anAddressThatNoProcessHasIsAnError(address: UInt64) {
    let memory = ProcessMemory(of: getpid())
    for count in [1, 2, 3] {
      let error = #expect(throws: SystemCallError.self) { try read(memory, address, count) }
      #expect(error?.errno == .badAddress)
    }
    #expect(throws: SystemCallError.self) { try memory.probe(address) }
  }

  @Test func aProcessThatHasEndedIsNamed() throws {
    let process = try IdleProcess()
    process.end()
    let number = process.processID
    let error = #expect(throws: SystemCallError.self) {
      try ProcessMemory(of: number).probe(4096)
    }
    #expect(
      error?.description
        == "process \(number): cannot read memory at 0x1000 (1 bytes): No such process. "
        + "The process has ended.")
    let gone = SystemCallError(
      call: .open, errno: .noSuchFileOrDirectory, subject: .file(FilePath("/proc/\(number)/maps")))
    #expect(throws: gone) { try MemoryMap.all(of: number) }
    #expect(throws: SystemCallError.self) { try PageMap(of: number) }
    let wanted = MappedFileIdentity(major: 0, minor: 1, number: 1)
    #expect(throws: SystemCallError.self) {
      try ProcessFiles.open(wanted, of: number, access: .read)
    }
    #expect(ProcessOwner.ofThread(number) == nil)
  }

  /// In a child that gives up its rights.
  @Test(.enabled(if: geteuid() == 0))
  func withoutTheRightsTheAdviceSaysWhatIsNeeded() async {
    await #expect(processExitsWith: .success) {
      precondition(setgid(65534) == 0 && setuid(65534) == 0)
      func refusal(_ body: () throws -> Void) -> SystemCallError? {
        do {
          try body()
          return nil
        } catch {
          return error as? SystemCallError
        }
      }
      let refusals = [
        refusal { try ProcessMemory(of: 1).probe(4096) },
        refusal { _ = try MemoryMap.all(of: 1) },
        refusal { _ = try PageMap(of: 1) },
        refusal {
          let wanted = MappedFileIdentity(major: 0, minor: 1, number: 1)
          _ = try ProcessFiles.open(wanted, of: 1, access: .read)
        },
      ]
      for error in refusals {
        precondition([.notPermitted, .permissionDenied].contains(error?.errno))
        precondition(error?.advice?.contains("kernel.yama.ptrace_scope") == true)
        precondition(error?.advice?.contains("CAP_SYS_PTRACE") == true)
      }
    }
  }

  private func write(_ bytes: [UInt8], _ memory: ProcessMemory, _ place: UInt64) throws {
    try unsafe bytes.withUnsafeBytes { try unsafe memory.write(from: $0, to: place) }
  }

  private func read(_ memory: ProcessMemory, _ place: UInt64, _ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0xEE, count: count)
    try unsafe bytes.withUnsafeMutableBytes { try unsafe memory.read(into: $0, from: place) }
    return bytes
  }
}

@Suite struct ProcessOwnerTests {
  @Test func aThreadBelongsToItsProcess() throws {
    let thread = try PosixThread(name: "owner\tTgid:\t1\r") {
      (ProcessOwner.ofThread(currentThreadID()), currentThreadID())
    }
    let (owner, number) = thread.join()
    #expect(owner == getpid())
    #expect(number != getpid())
    #expect(ProcessOwner.ofThread(getpid()) == getpid())
  }

  @Test(arguments: [0, -1, Int32.max, Int32.min]) func aNumberOfNoThreadHasNoOwner(number: Int32) {
    #expect(ProcessOwner.ofThread(number) == nil)
  }
}
