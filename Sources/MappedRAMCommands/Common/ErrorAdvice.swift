import MappedRAM
import MappedRAMFormat
import QEMUArguments
import QEMUControl

// The library says what is wrong; which option helps is this program's to say.

extension ImageError {
  /// What to do about it with this program; `nil` where the error says all.
  var advice: String? {
    switch self {
    case .format(let error, _): error.kind.advice
    case .plan(.noBlocks): "Name the files with --block IDSTR=FILE."
    case .plan: nil
    case .target(let error): error.advice
    case .save(let error): error.advice
    case .contents(_, let problem): problem.advice
    case .system, .endedEarly, .device, .cancelled: nil
    }
  }
}

extension FormatError.Kind {
  fileprivate var advice: String? {
    switch self {
    case .notAStream(_, looksLike: nil): "If the stream begins elsewhere, give --offset."
    default: nil
    }
  }
}

extension ContentsProblem {
  fileprivate var advice: String? {
    switch self {
    case .noSums: "Give it checksums with \"mapped-ram seal\" while it is known to be right."
    case .damaged, .unreadableSums:
      "Use \"mapped-ram repair\" with a copy or an older image of the VM."
    case .foreignSums: nil
    }
  }
}

extension TargetError {
  fileprivate var advice: String? {
    switch self {
    case .notAnImage, .anotherVM, .fileExists: "Use --force to replace it."
    case .otherAreas, .bytesBehindStream: "Make one with --copy."
    case .tooSmall, .usedByQEMU, .copyOfItself, .alreadySealed: nil
    }
  }
}

extension SaveError {
  fileprivate var advice: String? {
    switch self {
    case .doesNotConverge:
      "Allow more with --max-downtime, or pause the VM nevertheless with --if-not-converging pause."
    default: nil
    }
  }
}

extension VMError {
  /// What to do about it with this program; `nil` where the error says all.
  ///
  /// - Parameter isLive: whether it is the error of a live save.
  func advice(isLive: Bool = false) -> String? {
    switch self {
    case .image(let error): error.advice
    case .cannotCapture(let obstacles, let canUseQEMU):
      Self.joined(
        obstacles.map(\.advice)
          // One that is too old to say where memory is has no mapped-ram either.
          + [
            canUseQEMU && !obstacles.contains(.unknownAddresses)
              ? "Use --engine qemu to let QEMU do the work." : nil
          ])
    case .notByQEMU(let obstacles, let reasons):
      Self.joined(
        reasons.map(\.advice) + [
          reasons.isEmpty ? Self.useCapture : nil,
          reasons.isEmpty || obstacles.contains(where: \.isDangerous)
            ? nil : "Use --engine qemu to let QEMU read it nevertheless.",
        ])
    case .cannotProtect(let obstacles):
      "Use \(obstacles == [.doesNotRunOn] ? "--snapshot-disks, or " : "")--live-method auto or rounds."
    case .deviceByQEMU(_, let obstacles):
      obstacles.isEmpty ? Self.useCapture : Self.joined(obstacles.map(\.advice))
    case .layoutByQEMU(let obstacles):
      Self.joined(
        obstacles.map(\.advice) + [
          obstacles.isEmpty ? Self.useCapture : "Use --layout 1M to let QEMU do the work."
        ])
    case .migrationFailed(_, _, let hints): hints.contains(.canCapture) ? Self.useCapture : nil
    case .asleep(let cause, let canCapture):
      Self.joined([cause?.advice(isLive: isLive), canCapture ? Self.useCapture : nil])
    // In a live save that is what the rounds aim at.
    case .pausedTooLong: isLive ? nil : "More time can be allowed with --max-downtime."
    case .managedByLibvirt: "Use --managed-by-libvirt to save it nevertheless."
    case .disksWentOn: "To restore nevertheless, use --disks-changed."
    case .launch(.refused(let refusal)): refusal.advice
    case .cannotMap(.notMapped):
      "Or let mapped-ram start QEMU: give its command line behind --."
    case .cannotMap(.staleSlots): "Use \"mapped-ram compact\" to free them."
    case .snapshotsRemain(_, let cause, _, _), .leftPaused(let cause, _, _),
      .notUndone(let cause, _, _), .leftAlone(_, let cause):
      cause?.advice(isLive: isLive)
    default: nil
    }
  }

  private static let useCapture = "Use --engine capture."

  private static func joined(_ sentences: [String?]) -> String? {
    let all = sentences.compactMap(\.self)
    return all.isEmpty ? nil : all.joined(separator: " ")
  }
}

extension LaunchRefusal {
  fileprivate var advice: String? {
    switch self {
    case .noProgram: "Give QEMU and its arguments behind --."
    case .conflict(.daemonize): "Use --detach instead."
    case .needsSharedMemory: "Use --engine place."
    default: nil
    }
  }
}

extension CaptureObstacle {
  fileprivate var advice: String? {
    switch self {
    case .unknownProcess(.some): "Give the right process ID with --pid, or leave --pid out."
    case .unknownProcess(nil): "Give it with --pid."
    case .foreignProcess: "If it is QEMU nevertheless, give its process ID with --pid."
    default: nil
    }
  }

  /// The reason, and what to do about it with this program.
  var text: String { [description, advice].compactMap(\.self).joined(separator: " ") }
}
