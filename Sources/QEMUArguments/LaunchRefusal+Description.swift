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

extension LaunchRefusal.Conflict {
  fileprivate var reason: String {
    switch self {
    case .incoming: "we say where the VM comes from. Leave it out."
    case .daemonize: "we could not follow the VM. Leave it out."
    case .preconfig: "QEMU would wait for more than the image. Leave it out."
    case .loadvm: "the VM comes from the image. Leave it out."
    }
  }
}

extension LaunchNote: CustomStringConvertible {
  /// The note, as a sentence.
  public var description: String {
    switch self {
    case .keptBackend(let id, let driver):
      "\(id) is not mapped but read into memory, since \(driver) needs memory of its own."
    case .notShared(let id):
      "\(id) was shared memory; mapped from the image, no other process can use it."
    case .notUsed(let option):
      "\(option) is not used: the memory is the image."
    case .balloonKeepsMemory(let driver):
      "\(driver): memory that the guest gives back stays in use, since it is the image. QEMU prints "
        + "an error for each page."
    case .lockedMemory:
      "-overcommit mem-lock=on makes QEMU read the whole image into memory at once."
    case .unseen(let file):
      "-readconfig \(file): options about memory in this file are not seen."
    }
  }
}
