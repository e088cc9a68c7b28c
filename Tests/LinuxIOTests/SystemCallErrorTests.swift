import LinuxIO
import SystemPackage
import Testing

@Suite struct SystemCallErrorTests {
  @Test func rangeErrorNamesPathCallPlaceReasonAndAdvice() {
    let error = SystemCallError(
      call: .pwrite, errno: .noSpace, subject: .range("/images/vm.img", 0x10_0000..<0x20_0000))
    #expect(
      error.description
        == "/images/vm.img: cannot write at 0x100000 (1048576 bytes): No space left on device. "
        + "Free space on the file system, or choose another place.")
  }

  @Test func errorWithoutAdviceEndsWithItsReason() {
    let error = SystemCallError(
      call: .open, errno: .noSuchFileOrDirectory, subject: .file("/images/vm.img"))
    #expect(error.description == "/images/vm.img: cannot open: No such file or directory.")
    #expect(error.advice == nil)
  }

  @Test func ringErrorNamesTheSysctl() {
    let error = SystemCallError(call: .io_uring_setup, errno: .notPermitted, subject: .ring)
    #expect(
      error.description
        == "cannot set up io_uring: Operation not permitted. io_uring is refused to this process: by the "
        + "sysctl kernel.io_uring_disabled, or by the seccomp filter of the container.")
  }

  @Test func memoryErrorNamesTheCount() {
    let error = SystemCallError(
      call: .mmap, errno: .noMemory, subject: .memory(byteCount: 4096))
    #expect(
      error.description
        == "cannot map 4096 bytes of memory: Cannot allocate memory. There is not enough memory: "
        + "free some, or raise the limit of the process.")
  }

  @Test(arguments: [
    (SystemCall.io_uring_register, Errno.noMemory, "RLIMIT_MEMLOCK"),
    (.pwrite, .invalidArgument, "direct I/O"),
    (.pwrite, .diskQuotaExceeded, "quota"),
    (.pwrite, .fileTooLarge, "ulimit -f"),
    (.pwrite, .ioError, "dmesg"),
    (.open, .permissionDenied, "owner and mode"),
    (.open, .readOnlyFileSystem, "read-only"),
    (.open, .tooManyOpenFiles, "ulimit -n"),
    (.pthread_create, .resourceTemporarilyUnavailable, "ulimit -u"),
    (.process_vm_readv, .notPermitted, "CAP_SYS_PTRACE"),
    (.process_vm_writev, .badAddress, "mappings"),
    (.process_vm_readv, .noFunction, "CONFIG_CROSS_MEMORY_ATTACH"),
  ])
  func knownCausesHaveAdvice(call: SystemCall, errno: Errno, word: String) throws {
    let error = SystemCallError(call: call, errno: errno, subject: .process)
    let advice = try #require(error.advice)
    #expect(advice.contains(word))
    #expect(advice.hasSuffix("."))
    #expect(error.description == "cannot \(call.action): \(errno.description). \(advice)")
  }

  /// A file of /proc/PID is refused for want of the right to trace the process, whatever its mode says.
  @Test(arguments: [
    ("/proc/77/maps", true), ("/proc/1/fd", true), ("/proc/self/maps", false), ("/proc/77", false),
    ("/proc/sys/vm/nr_hugepages", false), ("/srv/proc/77/maps", false), ("proc/77/maps", false),
  ])
  func aFileOfAnotherProcessHasItsOwnAdvice(path: FilePath, isOfProcess: Bool) throws {
    let error = SystemCallError(call: .open, errno: .permissionDenied, subject: .file(path))
    #expect(try #require(error.advice).contains("ptrace_scope") == isOfProcess)
  }

  @Test func unsuitableFileSaysWhatItIsAndWhatIsNeeded() {
    let error = SystemCallError.unsuitable(
      "/dev", found: .directory, expected: [.regular, .blockDevice])
    #expect(
      error.description
        == "/dev: is a directory, but a regular file or a block device is needed.")
  }

  @Test func refusalOfDirectIOSaysWhy() {
    let error = SystemCallError.directIORefused("/dev/shm/vm.img", .memoryFileSystem)
    #expect(
      error.description
        == "/dev/shm/vm.img: direct I/O is not possible: the file system keeps its files in "
        + "memory alone. Allow buffered I/O, or choose another file system.")
  }

  @Test(arguments: [
    (DirectIORefusal.notOffered, "the file system says that this file has none"),
    (.memoryFileSystem, "the file system keeps its files in memory alone"),
    (.openFailed(.invalidArgument), "open with O_DIRECT: Invalid argument"),
    (.readFailed(.invalidArgument), "a first read with O_DIRECT: Invalid argument"),
    (.asked, "it was refused on request"),
  ])
  func eachRefusalHasItsReason(refusal: DirectIORefusal, text: String) {
    #expect(refusal.description == text)
  }

  @Test func rangeOutsideTheFileNamesBothEnds() {
    let error = SystemCallError.outsideFile("/vm.img", range: 0x1000..<0x3000, byteCount: 0x2000)
    #expect(
      error.description
        == "/vm.img: bytes 0x1000 to 0x3000 are wanted, but the file ends at 0x2000.")
  }
}
