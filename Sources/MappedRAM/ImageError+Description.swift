import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import SystemPackage

extension ImageError: CustomStringConvertible {
  /// One sentence: the file, the place, what was found, what was expected, what to do.
  public var description: String {
    switch self {
    case .format(let error, let path): "\(path): \(error)"
    case .system(let error): "\(error)"
    case .endedEarly(let path, let offset):
      "\(path): the file ends at 0x\(String(offset, radix: 16)) where more was expected: "
        + "it was cut off while it was being read."
    case .plan(let error): "\(error)"
    case .target(let error): "\(error)"
    case .save(let error): "\(error)"
    case .device(let identity, let failure): "device \"\(identity)\": \(failure)"
    case .contents(let path, let problem): "\(path): \(problem)"
    case .cancelled: "Interrupted."
    }
  }
}

extension ContentsProblem: CustomStringConvertible {
  /// What is not right, and where.
  public var description: String {
    switch self {
    case .noSums:
      "the image has no checksums: whether its contents are right cannot be told."
    case .unreadableSums(let damage):
      "the image's checksums cannot be read, so whether its contents are right cannot be told\(Self.list(damage))"
    case .foreignSums:
      "the image's checksums are of another image: they do not cover what is in this one."
    case .damaged(let damage):
      "the contents are not those that were saved\(Self.list(damage))"
    }
  }

  /// The first of them; an image that was lost for the most part has many.
  private static func list(_ damage: [ImageVerification.Damage]) -> String {
    let most = 8
    var sentences = damage.prefix(most).map { damage in
      let sentence = damage.description
      return sentence.hasSuffix(".") ? String(sentence.dropLast()) : sentence
    }
    if damage.count > most { sentences.append("and \(damage.count - most) more") }
    return sentences.isEmpty ? "." : ": " + sentences.joined(separator: "; ") + "."
  }
}

extension PlanError: CustomStringConvertible {
  /// One sentence: what does not fit, and what to do.
  public var description: String {
    switch self {
    case .unknownBlock(let idstr, let known):
      "There is no RAMBlock \"\(idstr)\"; the image has \(known.map { "\"\($0)\"" }.joined(separator: ", "))."
    case .noBlocks:
      "There is no RAMBlock to save; an image has one at least."
    case .sourceSize(let path, let idstr, let found, let expected):
      "\(path): the contents of RAMBlock \"\(idstr)\" have \(found) bytes; expected \(expected), its used length."
    case .mixedPageSizes(let idstr, let found, let expected):
      "RAMBlock \"\(idstr)\" has pages of \(found) bytes; expected \(expected), as the others."
    case .prefixLength(let path, let found, let streamOffset):
      "\(path): \(found) bytes are to stand before the stream, which is to begin at \(streamOffset)."
    case .fileTooLong(let path, let found, let limit):
      "\(path): the file has \(found) bytes; at most \(limit) fit."
    case .manifest(let path, let problem): "\(path): \(problem)"
    case .unknownDevice(let device, let known):
      known.isEmpty
        ? "The image has no state of a device \"\(device)\": it has no area of device states."
        : "The image has no state of a device \"\(device)\"; it has \(known.map { "\"\($0)\"" }.joined(separator: ", "))."
    case .deviceSize(let path, let device, let found, let expected):
      "\(path): the state of device \"\(device)\" has \(found) bytes; expected \(expected), the sum of its buffers."
    case .deviceTooLong(let device, let found, let limit):
      "The state of device \"\(device)\" needs \(found) bytes; no file can be longer than the image with \(limit) more."
    case .deviceTwice(let device): "Device \"\(device)\" is given twice; its state has one source."
    case .sectionWithoutSize(let device):
      "The state of device \"\(device)\" is to be a section of the stream, and its size is not known before: give it as a file."
    case .sectionTaken(let device):
      "Device \"\(device)\" has sections in the stream that came in rounds; they cannot be replaced."
    case .tailTooLong(let found, let limit):
      "The device state has \(found) bytes; sections can be put into at most \(limit)."
    case .deviceName(let name):
      "\"\(name)\" is not a name of a device; expected 1 to 255 printable ASCII characters."
    case .sameFile(let image, let other):
      "\(image) and \(other) are the same file: give another one that still has the contents."
    case .tooManyDevices(let found, let limit):
      "There are \(found) devices; at most \(limit) fit an image."
    }
  }
}

extension TargetError: CustomStringConvertible {
  /// One or two sentences: what is there, and what to do.
  public var description: String {
    switch self {
    case .tooSmall(let path, let found, let needed):
      "\(path): the device has \(found) bytes; the image needs \(needed)."
    case .notAnImage(let path, let found):
      "\(path): this is \(found ?? "not an image") and would be lost: nothing was changed. Choose another name, "
        + "or allow it to be replaced."
    case .anotherVM(let path, let differences):
      "\(path): this is an image of another VM (\(differences.joined(separator: "; "))), and would be lost: nothing was changed. "
        + "Choose another name, or allow it to be replaced."
    case .fileExists(let path):
      "\(path): this file exists and would be lost: nothing was changed. Choose another name, or allow it to be "
        + "replaced."
    case .otherAreas(let path):
      "\(path): the image has areas without checksums behind its stream, and none can be added where they are: nothing was changed. "
        + "A copy can have them."
    case .copyOfItself(let path):
      "\(path): the copy would replace the image itself: nothing was changed. Choose another name."
    case .alreadySealed(let path):
      "\(path): the image has checksums already: no copy was made. Any copy of the file, as by cp(1), has them too."
    case .bytesBehindStream(let path, let offset, let count):
      "\(path): \(count) bytes that are no part of the image follow its stream at \(offset), and would be lost: nothing was changed. "
        + "A copy goes without them."
    case .usedByQEMU(let path):
      "\(path): a QEMU uses this as a disk (it holds locks on it): nothing was changed. Choose another name."
    }
  }
}

extension SaveError: CustomStringConvertible {
  /// One or two sentences: what is not right, and what to do.
  public var description: String {
    switch self {
    case .unreadable(let path, let error):
      "\(path): the image would not be readable, so it was not kept: \(error) The device state that was given is "
        + "probably not what follows RAM in a migration stream."
    case .blockDiffers(let path, let idstr, let found?, let expected?):
      "\(path): the image has \(found) bytes of RAMBlock \"\(idstr)\"; the VM has \(expected). It was not kept."
    case .blockDiffers(let path, let idstr, nil, _):
      "\(path): the image lacks RAMBlock \"\(idstr)\", which the VM has. It was not kept."
    case .blockDiffers(let path, let idstr, _, nil):
      "\(path): the image has a RAMBlock \"\(idstr)\", which the VM does not have. It was not kept."
    case .doesNotConverge(let rounds, let expected, let wanted, let rate):
      Self.doesNotConverge(rounds, expected, wanted, rate)
    case .notHeld:
      "The guest's memory was not held as it was until all of it had been read, so the image would not be of one moment. Try again."
    case .slotsDiffer(let path):
      "\(path): the VM's memory was resized, added or taken away while it was saved, so the image "
        + "would not be whole. Try again."
    }
  }

  private static func doesNotConverge(
    _ rounds: Int, _ expected: Duration, _ wanted: Duration, _ rate: Double?
  ) -> String {
    let reason =
      rate.map { rate in
        rate < Double(1 << 20)
          ? "Reading all memory once more takes too long"
          : "The save does not converge (dirty rate \(Int(rate) >> 20) MiB/s)"
      }
      ?? "The save does not converge"
    let since = "after \(rounds) round\(rounds == 1 ? "" : "s")"
    return "\(reason): \(since) the VM would be paused for about "
      + "\(expected.wholeMilliseconds) ms, and further rounds would not shorten that; at most "
      + "\(wanted.wholeMilliseconds) ms are allowed."
  }
}

extension DeviceFailure: CustomStringConvertible {
  /// What went wrong, as a sentence.
  public var description: String {
    switch self {
    case .system(let error): "\(error)"
    case .endedEarly(let found, let expected):
      "the state ended after \(found) bytes; expected \(expected)."
    case .tooLong(let expected):
      "there are more bytes of state than the \(expected) that were announced."
    case .sequence(.numberTwice(let number)): "buffer number \(number) came twice."
    case .sequence(.numberOutOfRange(let number, let limit)):
      "buffer number \(number) is out of range; expected less than \(limit)."
    case .sequence(.numberMissing(let number)):
      "buffer number \(number) is missing, though later ones came."
    case .damaged(let number, let offset):
      "buffer number \(number), at 0x\(String(offset, radix: 16)) of the image, is damaged: its bytes are not those that were saved."
    case .notAllTaken(let taken, let count):
      "the device took only \(taken) of its \(count) buffers."
    case .command(let end, let message): Self.message(of: end, message)
    case .refused(let message): "the device refuses: \(message)"
    case .stopped: "stopped."
    }
  }

  private static func message(of end: ChildEnd, _ message: String) -> String {
    let how =
      switch end {
      case .exited(let status): "the command ended with status \(status)"
      case .killed(let signal, _): "the command was ended by signal \(signal)"
      }
    return message.isEmpty
      ? "\(how), without a word on stderr." : "\(how) and said: \(message)"
  }
}

extension ManifestProblem: CustomStringConvertible {
  /// What is wrong, as a sentence.
  public var description: String {
    switch self {
    case .unreadable(let detail): "This is not a manifest: \(detail)."
    case .schemaVersion(let found, let supported):
      "schemaVersion is \(found); this program knows \(supported). Use a later version of it."
    case .unsafeName(let name):
      "\"\(name)\" is not the name of a file in this directory."
    case .badValue(let key, let found): "\(key) has the value \(found), which cannot be."
    case .badBlock(let error): "\(error.context): \(error.kind)"
    case .missingFile(let name): "\"\(name)\" is named here, but is not in the directory."
    case .noBlocks: "blocks is empty; an image has one at least."
    case .notMappedRAM:
      "configuration has no capability \"mapped-ram\", without which no image can be made."
    case .blockWithoutFile(let idstr):
      "blocks: \"\(idstr)\" has no file, as only one may that is left out (capability \"x-ignore-shared\")."
    case .ramSectionID(let found, let expected):
      "ramSectionID is \(found); in the device state RAM has the id \(expected)."
    }
  }
}
