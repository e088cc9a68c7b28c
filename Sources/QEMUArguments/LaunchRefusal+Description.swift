extension LaunchRefusal: CustomStringConvertible {
  /// The message: what is wrong, and what to do.
  public var description: String {
    switch self {
    case .noProgram:
      "No program to start."
    case .missingValue(let option):
      "\(option): the option takes a value, and nothing follows it."
    case .conflict(let option):
      "-\(option.rawValue): \(option.reason)"
    case .unreadable(let option, let value):
      "\(option) \(value): not understood as JSON. Write it with double quotes, or as a list of "
        + "key=value."
    case .memorySize(let idstr, let image, let arguments, let option):
      "\(option): the image's block \"\(idstr)\" has \(image) bytes (\(Self.size(image))), and the "
        + "arguments say \(arguments) (\(Self.size(arguments))). Use the size of the VM that was saved."
    case .needsSharedMemory(let option):
      "\(option): its other process would see the image's file instead of the guest's memory. "
        + "Place the pages into memory that is shared."
    case .cannotClone(let option, let obstacle):
      "\(option): \(obstacle.reason) Make an overlay yourself (qemu-img create -b), and give that to QEMU."
    }
  }

  /// As `-m` and `-object` take it, exactly.
  private static func size(_ bytes: UInt64) -> String {
    for (index, letter) in ["T", "G", "M", "K"].enumerated() {
      let unit: UInt64 = 1 << UInt64(40 - 10 * index)
      if bytes >= unit, bytes % unit == 0 { return "\(bytes / unit)\(letter)" }
    }
    return "\(bytes)B"
  }
}

extension LaunchRefusal.CloneObstacle {
  fileprivate var reason: String {
    switch self {
    case .noFile: "only of local files and devices can overlays be made."
    case .format(let format): "overlays can be made of raw and qcow2, not of \(format)."
    case .unknownFormat(let file):
      "\(file): give its format (format=raw or format=qcow2, of -drive or -blockdev), which must be what is in the file."
    case .encrypted(let file): "\(file) is encrypted, and what the clone writes would not be."
    case .property(let key): "\(key) cannot be said of an overlay."
    case .unseen: "disks in this file are not seen."
    }
  }
}

extension LaunchRefusal.Conflict {
  fileprivate var reason: String {
    switch self {
    case .incoming: "a restore adds this itself; remove it."
    case .daemonize: "QEMU must remain a child process; remove it."
    case .preconfig: "QEMU would wait for more than the image; remove it."
    case .loadvm: "the VM comes from the image; remove it."
    }
  }
}

extension LaunchNote: CustomStringConvertible {
  /// The note, as a sentence.
  public var description: String {
    switch self {
    case .keptBackend(let id, let driver):
      "\(id) is read into memory instead of being mapped, as \(driver) needs memory of its own."
    case .notShared(let id):
      "\(id) was shared memory; mapped from the image, it cannot be used by another process."
    case .notUsed(let option):
      "\(option) is ignored: the memory is the image."
    case .balloonKeepsMemory(let driver):
      "\(driver): memory that the guest returns stays in use, as it is the image, and what it writes to before takes more. QEMU "
        + "prints an error for each page. If the balloon is used, restore with --engine place."
    case .lockedMemory:
      "-overcommit mem-lock=on makes QEMU read the whole image into memory at once."
    case .unseen(let file):
      "-readconfig \(file): options about memory in this file are ignored."
    case .noGenerationID:
      "The VM has no VM generation ID (-device vmgenid,guid=auto), so its guest cannot know that it is a clone: all clones have the same "
        + "random state. The device must have been there when the VM was saved."
    case .sameGenerationID(let guid):
      "-device vmgenid,guid=\(guid): all clones have this ID, and their guests the same random state. Use guid=auto, which gives each its own."
    case .imageInMemory(let path, let available, let needed):
      "\(path) is on a file system in memory, where each absent page that a guest touches takes room: up to \(needed) bytes, and "
        + "\(available) are free. Where it is full, the kernel ends QEMU without a message. Make room, or restore with --engine place."
    }
  }
}
