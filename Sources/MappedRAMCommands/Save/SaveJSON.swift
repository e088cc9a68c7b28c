import LinuxIO
import MappedRAM
import QEMUControl
import SystemPackage

extension SaveReport {
  var json: JSON {
    JSON(
      image: image.string, engine: report.engine.rawValue,
      engineReasons: report.engineReasons.map(\.description),
      machineType: report.machineType, fileSize: report.fileSize, blocks: report.blocks,
      memory: report.memory.map {
        JSON.Memory(idstr: $0.idstr, byteCount: $0.byteCount, route: $0.route.name)
      },
      pauseSeconds: report.pause?.inSeconds,
      live: report.live.map { LiveText(report: $0).json }, rounds: report.rounds,
      stateBefore: report.stateBefore, stateAfter: report.stateAfter,
      hasEnded: report.after == .ended, problem: problem,
      disks: report.disks.map {
        JSON.Disk(
          name: $0.name, file: $0.file, isUnlinked: $0.isUnlinked, overlay: $0.overlay?.string)
      }, disksDiverge: report.disksDiverge, transfer: TransferJSON(report.transfer))
  }

  /// What programs get.
  struct JSON: Encodable {
    var type = "report"
    var schemaVersion = 2
    var command = "save"
    var image: String
    var engine: String
    var engineReasons: [String]
    var machineType: String
    var fileSize: UInt64
    var blocks: [String]
    /// How each block was read; empty where QEMU wrote the image.
    var memory: [Memory]
    /// Absent for a VM that was paused before.
    var pauseSeconds: Double?
    /// Absent unless the save was live and by capture.
    var live: LiveText.JSON?
    /// Absent unless the save was live and by QEMU.
    var rounds: Int?
    var stateBefore: String
    /// Absent for a VM that has ended, and where it is not known.
    var stateAfter: String?
    /// Whether the VM was told to quit, and QEMU has ended.
    var hasEnded: Bool
    /// Why the VM may not be as it was to be; absent if it is.
    var problem: String?
    var disks: [Disk]
    /// Whether the VM goes on with disks that the image then no longer fits.
    var disksDiverge: Bool
    var transfer: TransferJSON

    struct Memory: Encodable {
      var idstr: String
      var byteCount: UInt64
      var route: String
    }

    struct Disk: Encodable {
      var name: String
      var file: String
      /// Whether the file has no name any more, and is lost when QEMU ends.
      var isUnlinked: Bool
      var overlay: String?
    }
  }
}

extension LiveText {
  var json: JSON {
    JSON(
      rounds: report.rounds.map(Round.init), lastRound: Round(report.lastRound),
      dirtyBytesPerSecond: report.forecast?.dirtyBytesPerSecond.map { UInt64($0) },
      expectedPauseSeconds: report.forecast?.expectedPause.inSeconds, isStuck: report.isStuck,
      hashBytes: report.hashBytes, clearedPages: report.clearedPages)
  }

  /// What programs get.
  struct JSON: Encodable {
    var rounds: [Round]
    /// The one while the VM stood still.
    var lastRound: Round
    /// Absent after a single round.
    var dirtyBytesPerSecond: UInt64?
    var expectedPauseSeconds: Double?
    /// Whether the VM was paused though the pause would be longer than was wished.
    var isStuck: Bool
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

extension BlockMemory.Route {
  /// A name for programs.
  var name: String {
    switch self {
    case .process: "process"
    case .file: "sharedFile"
    }
  }
}
