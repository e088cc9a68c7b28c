import LinuxIO
import MappedRAM
import QEMUControl
import SystemPackage

extension SaveReport {
  var json: JSON {
    JSON(
      image: image.string, engine: report.engine.rawValue,
      engineReasons: report.engineReasons.map(\.finding),
      machineType: report.machineType, layout: report.layout.rawValue,
      fileSize: report.fileSize, hasChecksums: report.transfer.hasChecksums,
      base: report.transfer.base.map {
        JSON.Base(
          image: $0.path.string, sharedBytes: $0.sharedBytes, obstacle: $0.obstacle?.finding)
      },
      blocks: report.blocks,
      memory: report.memory.map {
        JSON.Memory(idstr: $0.idstr, byteCount: $0.byteCount, route: $0.route.name)
      },
      downtimeSeconds: report.pause?.inSeconds,
      live: report.live.map { LiveText(report: $0).json },
      snapshot: report.sent.map {
        JSON.Snapshot(
          sentPages: $0.pages, writtenPages: $0.writtenPages,
          splitBytes: report.hugeMemory?.splitBytes, mendedBytes: report.hugeMemory?.mendedBytes)
      },
      roundsReasons: report.protectionObstacles.map(\.finding),
      liveChoice: report.liveChoice.map { LiveChoiceText(choice: $0).json },
      stateBefore: report.stateBefore, stateAfter: report.stateAfter,
      hasEnded: report.after == .ended,
      problem: failure.map { ErrorJSON($0, saying: problem ?? "") },
      disks: report.disks.map {
        JSON.Disk(
          name: $0.name, file: $0.file, isUnlinked: $0.isUnlinked, overlay: $0.overlay?.string)
      }, disksDiverge: report.disksDiverge, transfer: TransferJSON(report.transfer))
  }

  /// What programs get.
  struct JSON: Encodable {
    var type = "report"
    var schemaVersion = JSONText.schemaVersion
    var command = "save"
    var image: String
    var engine: String
    /// Why QEMU saved, where it was not asked to.
    var engineReasons: [Finding]
    var machineType: String
    /// `1M` or `2M`.
    var layout: String
    var fileSize: UInt64
    /// Whether the image has checksums of its contents.
    var hasChecksums: Bool
    /// `null` unless an earlier image was to be the base.
    @OrNull var base: Base?
    var blocks: [String]
    /// How each block was read; empty where QEMU wrote the image.
    var memory: [Memory]
    /// `null` for a VM that was paused before.
    @OrNull var downtimeSeconds: Double?
    /// `null` unless the save was live, and in rounds: a capture's, or QEMU's own.
    @OrNull var live: LiveText.JSON?
    /// `null` unless the save was live, and of one moment.
    @OrNull var snapshot: Snapshot?
    /// Why a live save was not made by a snapshot.
    var roundsReasons: [Finding]
    /// Why it was made in rounds then, or by QEMU itself; `null` where there was no choice.
    @OrNull var liveChoice: LiveChoiceText.JSON?
    var stateBefore: String
    /// `null` for a VM that has ended, and where it is not known.
    @OrNull var stateAfter: String?
    /// Whether the VM was told to quit, and QEMU has ended.
    var hasEnded: Bool
    /// Why the VM is not as asked; `null` if it is.
    @OrNull var problem: ErrorJSON?
    var disks: [Disk]
    /// Whether the VM is running with disks that the image then no longer matches.
    var disksDiverge: Bool
    var transfer: TransferJSON

    struct Base: Encodable {
      var image: String
      /// Bytes of present pages that are in blocks that both share.
      var sharedBytes: UInt64
      /// Why there are none; `null` where there can be.
      @OrNull var obstacle: Finding?
    }

    struct Memory: Encodable {
      var idstr: String
      var byteCount: UInt64
      var route: String
    }

    struct Snapshot: Encodable {
      /// Pages that QEMU sent.
      var sentPages: UInt64
      /// Those of them that had been sent before they were read.
      var writtenPages: UInt64
      /// Memory of huge pages that lost them; `null` where there were none, or it is not known.
      @OrNull var splitBytes: UInt64?
      /// What of it has them again.
      @OrNull var mendedBytes: UInt64?
    }

    struct Disk: Encodable {
      var name: String
      var file: String
      /// Whether the file has no name any more, and is lost when QEMU ends.
      var isUnlinked: Bool
      @OrNull var overlay: String?
    }
  }
}

extension LiveText {
  var json: JSON {
    JSON(
      rounds: report.rounds.map(Round.init), lastRound: Round(report.lastRound),
      dirtyBytesPerSecond: report.forecast?.dirtyBytesPerSecond.map { UInt64($0) },
      expectedDowntimeSeconds: report.forecast?.expectedDowntime.inSeconds,
      converged: report.hasConverged,
      hashBytes: report.hashBytes, clearedPages: report.clearedPages)
  }

  /// What programs get.
  struct JSON: Encodable {
    var rounds: [Round]
    /// The one while the VM was paused.
    var lastRound: Round
    /// `null` after a single round.
    @OrNull var dirtyBytesPerSecond: UInt64?
    @OrNull var expectedDowntimeSeconds: Double?
    /// Whether the downtime was expected to be as short as asked when the VM was paused.
    var converged: Bool
    var hashBytes: UInt64
    var clearedPages: Int
  }

  struct Round: Encodable {
    var readBytes: UInt64
    var changedBytes: UInt64
    var elapsedSeconds: Double

    init(_ round: LiveRound) {
      readBytes = round.readBytes
      changedBytes = round.changedBytes
      elapsedSeconds = round.elapsed.inSeconds
    }
  }
}

extension LiveChoiceText {
  var json: JSON {
    JSON(
      taken: choice.takesQEMU ? "qemu" : "rounds",
      wantedDowntimeSeconds: choice.wanted.inSeconds, rounds: choice.rounds,
      dirtyBytesPerSecond: choice.forecast.dirtyBytesPerSecond.map { UInt64($0) },
      roundsDowntimeSeconds: choice.forecast.expectedDowntime.inSeconds,
      readingSeconds: choice.forecast.readingDowntime?.inSeconds,
      qemuDowntimeSeconds: choice.qemuDowntime?.inSeconds,
      qemuReasons: choice.obstacles.map(\.finding))
  }

  /// What programs get.
  struct JSON: Encodable {
    /// `rounds` or `qemu`.
    var taken: String
    var wantedDowntimeSeconds: Double
    /// Those that had been made when it was decided.
    var rounds: Int
    /// `null` after a single round.
    @OrNull var dirtyBytesPerSecond: UInt64?
    /// What was expected of further rounds.
    var roundsDowntimeSeconds: Double
    /// What of that was for reading all memory; `null` after a single round.
    @OrNull var readingSeconds: Double?
    /// What was expected of QEMU; `null` where it was out of the question, or too little was known.
    @OrNull var qemuDowntimeSeconds: Double?
    /// Why it was out of the question.
    var qemuReasons: [Finding]
  }
}

extension BlockMemory.Route {
  /// A name for programs.
  var name: String {
    switch self {
    case .process: "process"
    case .file: "sharedFile"
    }
  }
}
