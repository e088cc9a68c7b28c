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
        .conflict(.incoming), "-incoming: we say where the VM comes from. Leave it out."
      ),
      (
        .conflict(.daemonize),
        "-daemonize: we could not follow the VM. Leave it out."
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
        "/run/vm: something is there already. Remove it if nobody uses it, or choose another path."
      ),
      (
        .notALog(path: "/disk"),
        "/disk: this is no log, and QEMU's lines would go into it: nothing was changed. Choose another path."
      ),
      (
        .noReader(path: "/pipe"),
        "/pipe: nobody reads from this pipe, and QEMU would wait for that. Start the reader first, or choose another path."
      ),
      (
        .socketInUse(path: "/run/vm", option: "-qmp"),
        "-qmp /run/vm: a program listens there, probably the VM that was saved, and would lose its socket. End it first, or choose "
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
        "m is not mapped but read into memory, since virtio-mem-pci needs memory of its own."
      ),
      (
        .notShared(id: "m"),
        "m was shared memory; mapped from the image, no other process can use it."
      ),
      (.notUsed(option: "-mem-path"), "-mem-path is not used: the memory is the image."),
      (
        .balloonKeepsMemory(driver: "virtio-balloon-pci"),
        "virtio-balloon-pci: memory that the guest gives back stays in use, since it is the image. "
          + "QEMU prints an error for each page."
      ),
      (
        .lockedMemory,
        "-overcommit mem-lock=on makes QEMU read the whole image into memory at once."
      ),
      (
        .unseen(file: "vm.cfg"),
        "-readconfig vm.cfg: options about memory in this file are not seen."
      ),
    ] as [(LaunchNote, String)])
  func noteIsASentence(note: LaunchNote, text: String) {
    #expect(note.description == text)
  }
}
