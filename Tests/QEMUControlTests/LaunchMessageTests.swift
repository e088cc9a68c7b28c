import LinuxIO
import QEMUArguments
import QEMUControl
import Testing

@Suite struct LaunchMessageTests {
  @Test(
    arguments: [
      (.noProgram, "No program to start."),
      (.missingValue(option: "-m"), "-m: the option takes a value, and nothing follows it."),
      (
        .conflict(.incoming), "-incoming: a restore adds this itself; remove it."
      ),
      (
        .conflict(.daemonize),
        "-daemonize: QEMU must remain a child process; remove it."
      ),
      (
        .unreadable(option: "-object", value: "{'a'}"),
        "-object {'a'}: not understood as JSON. Write it with double quotes, or as a list of key=value."
      ),
      (
        .memorySize(idstr: "pc.ram", image: 8 << 30, arguments: (1 << 20) + 8192, option: "-m"),
        "-m: the image's block \"pc.ram\" has 8589934592 bytes (8G), and the arguments say 1056768 "
          + "(1032K). Use the size of the VM that was saved."
      ),
      (
        .needsSharedMemory(option: "-netdev vhost-user"),
        "-netdev vhost-user: its other process would see the image's file instead of the guest's "
          + "memory. Place the pages into memory that is shared."
      ),
    ] as [(LaunchRefusal, String)])
  func refusalSaysWhatToDo(refusal: LaunchRefusal, text: String) {
    #expect(refusal.description == text)
    #expect(LaunchError.refused(refusal).description == text)
  }

  @Test(
    arguments: [
      (
        .socketTaken(path: "/run/vm"),
        "/run/vm: this path exists already. Remove it if no process uses it, or choose another path."
      ),
      (
        .notALog(path: "/disk"),
        "/disk: this is not a log, and QEMU's output would be appended to it: nothing was changed. Choose another path."
      ),
      (
        .noReader(path: "/pipe"),
        "/pipe: no process reads from this pipe, and QEMU would block. Start the reader first, or choose another path."
      ),
      (
        .socketInUse(path: "/run/vm", option: "-qmp"),
        "-qmp /run/vm: a process listens there, probably the VM that was saved, and would lose its socket. End it first, or choose "
          + "another path."
      ),
    ] as [(LaunchError, String)])
  func pathThatCannotBeUsedIsNamed(error: LaunchError, text: String) {
    #expect(error.description == text)
  }

  @Test(
    arguments: [
      (
        .keptBackend(id: "m", driver: "virtio-mem-pci"),
        "m is read into memory instead of being mapped, as virtio-mem-pci needs memory of its own."
      ),
      (
        .notShared(id: "m"),
        "m was shared memory; mapped from the image, it cannot be used by another process."
      ),
      (.notUsed(option: "-mem-path"), "-mem-path is ignored: the memory is the image."),
      (
        .balloonKeepsMemory(driver: "virtio-balloon-pci"),
        "virtio-balloon-pci: memory that the guest returns stays in use, as it is the image, and what it writes to before takes "
          + "more. QEMU prints an error for each page. If the balloon is used, restore with --engine place."
      ),
      (
        .lockedMemory,
        "-overcommit mem-lock=on makes QEMU read the whole image into memory at once."
      ),
      (
        .unseen(file: "vm.cfg"),
        "-readconfig vm.cfg: options about memory in this file are ignored."
      ),
      (
        .imageInMemory(path: "/dev/shm/vm.img", available: 4096, neededAtMost: 8192),
        "/dev/shm/vm.img is on a file system in memory, where each absent page that a guest touches takes room: up to 8192 bytes, "
          + "and 4096 are free. Where it is full, the kernel ends QEMU without a message. Make room, or restore with --engine place."
      ),
    ] as [(LaunchNote, String)])
  func noteIsASentence(note: LaunchNote, text: String) {
    #expect(note.description == text)
  }
}
