import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMBench
import MappedRAMFormat

// What is measured are values; these are the words for them.

extension BenchStep {
  /// What is being done, for its progress.
  var label: String {
    switch self {
    case .save: "save"
    case .restore: "restore"
    case .takeApart: "take apart"
    case .build: "build"
    case .check: "check"
    case .live(let way): "save (\(way.rawValue))"
    }
  }
}

extension BenchRow.Settings {
  /// In a few letters: `2x32x1M io_uring`.
  var text: String {
    switch self {
    case .engine(let options): options.summary
    case .capture(let options): "capture, \(options.summary)"
    case .place(let options): "place, \(options.summary)"
    case .map: "QEMU's start included"
    case .start: "to its answer"
    case .qemu(let channels, let isDirect):
      NumberText.count(channels, "channel") + (isDirect ? ", direct" : "")
    case .fio(let depth, let blockBytes, let isDirect):
      "1x\(depth)x\(ByteSize(blockBytes)) io_uring" + (isDirect ? ", direct" : "")
    case .memory(let threads, let way): "\(threads) threads, \(way.text)"
    }
  }
}

extension BenchRow.Key {
  /// The settings, and the layout where one was asked for: `2x32x1M io_uring, layout 2M`.
  var settingsText: String { settings.text(with: layout) }
}

extension BenchRow.Settings {
  /// The settings, and a layout where one was asked for.
  func text(with layout: SlotLayout?) -> String {
    text + (layout.map { ", layout \($0.rawValue)" } ?? "")
  }
}

extension BenchRow.MemoryWay {
  fileprivate var text: String {
    switch self {
    case .ownProcess: "its own process"
    case .processRead: "process_vm_readv"
    case .processWrite: "process_vm_writev"
    }
  }
}

extension ChannelOptions {
  fileprivate var summary: String {
    let policy = directIO == .auto ? "" : ", direct \(directIO.rawValue)"
    return
      "\(channels)x\(queueDepth)x\(ByteSize(UInt64(requestBytes))) \(method.rawValue)\(policy)"
  }
}

extension BenchNote {
  /// A sentence.
  var text: String {
    switch self {
    case .channel(let note): note.text
    case .cacheDropped: "Files were dropped from the page cache before they were read."
    case .peakOfWholeRun(let error): "The peak of memory is that of the whole run: \(error)"
    case .qemuDoesNotSync:
      "QEMU's own saves are not synced to the disk within their time; all others are."
    }
  }
}

extension BenchFacts {
  /// Two lines for people.
  var text: String {
    let machine = BenchJSON.Machine(self)
    let place = [fileSystem, device.map { "on \($0)" }].compactMap { $0 }.joined(separator: " ")
    let direct =
      machine.memoryAlignment.map {
        "direct I/O aligned to \($0) in memory, \(machine.offsetAlignment ?? 0) in the file"
      }
      ?? "no direct I/O"
    let ring =
      machine.ringFeatures.map { "io_uring (\($0.joined(separator: ", ")))" }
      ?? "no io_uring: \(machine.ringRefusal ?? "")"
    return """
      Linux \(kernel), \(NumberText.count(processors, "processor"))\(processor.map { " (\($0))" } ?? ""), \
      \(NumberText.bytes(memoryBytes)) of memory.
      \(place.isEmpty ? "unknown file system" : place); \(direct); \(ring).

      """
  }
}

// MARK: Ratios

extension BenchRatio {
  /// What is compared with what.
  var what: String {
    switch kind {
    case .time(let operation, _): "\(operation.rawValue): QEMU's time / ours"
    case .cost(let operation): "\(operation.rawValue): our CPU-s per GiB / QEMU's"
    case .rate(let operation, .readingMemory):
      "\(operation.rawValue) of zeros: our rate / reading memory"
    case .rate(let operation, let bound): "\(operation.rawValue): our rate / \(bound.text)"
    case .map: "map: milliseconds besides QEMU's start"
    case .peakMemory: "our peak memory, MiB"
    }
  }

  /// What it is made of.
  var terms: String {
    func rate(_ value: Double) -> String { NumberText.rate(bytesPerSecond: value) }
    let (our, their) = (NumberText.significant(ours), NumberText.significant(theirs))
    return switch kind {
    case .time(_, let settings): "\(their) s (\(settings.text)) / \(our) s"
    case .cost: "\(our) / \(their)"
    case .rate: "\(rate(ours)) / \(rate(theirs))"
    case .map: "\(our) s - \(their) s"
    case .peakMemory: NumberText.bytes(UInt64(ours))
    }
  }
}

extension BenchRatio.Bound {
  fileprivate var text: String {
    switch self {
    case .fioWrite: "fio's write"
    case .fioRead: "fio's read"
    case .fioCopy: "fio's copy"
    case .slowerOfFio: "fio's slower one"
    case .touchingMemory: "touching memory"
    case .readingMemory: "reading memory"
    }
  }
}

// MARK: Explanations

extension BenchExplanation {
  /// A line for people.
  var text: String {
    let words = settings.text(with: layout)
    let what: String =
      switch bound {
      case .disk: "the disk"
      case .memory: "memory"
      case .cpu: "the processors"
      case .requestSize: "the size of requests: many short ones"
      case .waiting: "waiting: neither disk nor processors were full"
      case .unknown: "several things together"
      }
    return "\(mix) \(operation.rawValue) \(words): bounded by \(what) (\(reason.text))."
  }
}

extension BenchExplanation.Reason {
  /// The measurements, in one sentence.
  var text: String {
    var reasons = [
      "\(NumberText.significant(busy)) of \(NumberText.fixed(usable, places: 0)) processors busy"
    ]
    if let ofDisk { reasons.append("\(NumberText.significant(ofDisk)) of fio's rate") }
    if let ofMemory { reasons.append("\(NumberText.significant(ofMemory)) of memory's rate") }
    if let requestBytes {
      reasons.append("requests of \(NumberText.bytes(UInt64(requestBytes))) on average")
    }
    return reasons.joined(separator: ", ")
      + (isByExclusion ? "; nothing else was busy (--against fio tells more)" : "")
  }
}

// MARK: Errors

extension CommandError {
  /// The failure of a measurement.
  init(_ error: BenchError) {
    self =
      switch error {
      case .image(let error, let output): .image(error, output: output)
      case .vm(let error, let output): .vm(error, output: output)
      case .system(let error): .system(error)
      default: .bench(error)
      }
  }
}

extension CommandError {
  /// Runs `body` and gives its error as this module's.
  static func measuring<Value>(
    _ body: () throws(BenchError) -> Value
  ) throws(CommandError) -> Value {
    do throws(BenchError) {
      return try body()
    } catch {
      throw CommandError(error)
    }
  }
}

extension BenchError {
  /// One or two sentences: what was found, what was expected, what to do.
  var text: String {
    switch self {
    case .image(let error, _): "\(error)"
    case .vm(let error, _): "\(error)"
    case .system(let error): "\(error)"
    case .mismatch(let found) where found.count == 0:
      "\(found.checked) pages came back, but \(found.expected) were written. The engine, the file system or the "
        + "device lost them: do not trust them with an image."
    case .mismatch(let found):
      "\(NumberText.count(found.count, "page")) of \(found.checked) came back with other contents than were "
        + "written, the first of them page \(found.first). The engine, the file system or the device changed them: do "
        + "not trust them with an image."
    case .notEnoughMemory(let needed, let available, let canBeMade):
      "The measurement takes \(NumberText.bytes(needed)) of memory, and there are \(NumberText.bytes(available)). "
        + (canBeMade
          ? "Give a smaller --size, or --memory made, which takes none." : "Give a smaller --size.")
    case .noProgram(let program):
      "\(program.name) is not installed. Install it (Debian: apt install \(program.package)), or leave "
        + "\(program.option) out."
    case .guestDoesNotRun:
      "The guest that bench brings did not begin to run within 10 seconds. Is the QEMU one for x86_64, as "
        + "qemu-system-x86_64 is?"
    case .programFailed(let program, let end, let messages):
      "\(program.name) ended with status \(end.shellStatus) and said: \(messages)"
    }
  }
}

extension BenchError.Program {
  fileprivate var name: String {
    switch self {
    case .fio: "fio"
    case .qemu(let program): program
    }
  }

  fileprivate var package: String {
    switch self {
    case .fio: "fio"
    case .qemu: "qemu-system-x86, of backports before Debian 13"
    }
  }

  fileprivate var option: String {
    switch self {
    case .fio: "--against fio"
    case .qemu: "--against qemu or --live"
    }
  }
}
