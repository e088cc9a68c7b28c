import LinuxIO
import MappedRAM
import QEMUArguments
import QEMUControl
import SystemPackage

// What is found, noted or in the way, as programs get it: `kind` is a name that stays.

extension Mismatch {
  var finding: Finding {
    let kind =
      switch self {
      case .machineType: "machineType"
      case .pageSize: "pageSize"
      case .missingBlock: "missingBlock"
      case .extraBlock: "extraBlock"
      case .blockSize: "blockSize"
      case .processors: "processors"
      case .missingDevice: "missingDevice"
      case .extraDevice: "extraDevice"
      case .deviceVersion: "deviceVersion"
      }
    return Finding(kind: kind, message: description)
  }
}

extension CaptureObstacle {
  var finding: Finding {
    let kind =
      switch self {
      case .blocked: "blocked"
      case .migrating: "migrating"
      case .runState: "runState"
      case .iterableState: "iterableState"
      case .vfioDevice: "vfioDevice"
      case .capability: "capability"
      case .missingCommand: "missingCommand"
      case .unknownPlatform: "unknownPlatform"
      case .unknownProcess: "unknownProcess"
      case .foreignProcess: "foreignProcess"
      case .unknownAddresses: "unknownAddresses"
      case .notPermitted: "notPermitted"
      }
    return Finding(kind: kind, message: text)
  }
}

extension ProtectionObstacle {
  var finding: Finding {
    let kind =
      switch self {
      case .notWanted: "notWanted"
      case .doesNotRunOn: "doesNotRunOn"
      case .limitedBandwidth: "limitedBandwidth"
      case .unknown: "unknown"
      case .refused: "refused"
      case .fillsMemory: "fillsMemory"
      case .privateFile: "privateFile"
      case .takesTooLong: "takesTooLong"
      case .sharedMemory: "sharedMemory"
      case .unseenProcesses: "unseenProcesses"
      case .device: "device"
      }
    return Finding(kind: kind, message: description)
  }
}

extension SaveObstacle {
  var finding: Finding {
    let kind =
      switch self {
      case .tooOld: "tooOld"
      case .blocked: "blocked"
      case .migrating: "migrating"
      case .runState: "runState"
      case .runsOnImage: "runsOnImage"
      case .fillsMemory: "fillsMemory"
      case .blockDevice: "blockDevice"
      case .layout: "layout"
      case .devices: "devices"
      case .liveSnapshots: "liveSnapshots"
      case .staysPaused: "staysPaused"
      case .directIO: "directIO"
      case .ioPriority: "ioPriority"
      }
    return Finding(kind: kind, message: description)
  }
}

extension VMSaveWarning {
  var finding: Finding {
    let kind =
      switch self {
      case .mayNotFit: "mayNotFit"
      case .othersMayRead: "othersMayRead"
      case .unlinkedDisks: "unlinkedDisks"
      case .noWatchdog: "noWatchdog"
      case .readsImage: "readsImage"
      }
    return Finding(kind: kind, message: description)
  }
}

extension Deviation {
  var finding: Finding {
    let kind =
      switch self {
      case .diskWentOn: "diskWentOn"
      case .overlayWentOn: "overlayWentOn"
      case .laterSnapshot: "laterSnapshot"
      case .otherDisk: "otherDisk"
      case .memory: "memory"
      case .arguments: "arguments"
      }
    return Finding(kind: kind, message: description)
  }
}

extension LaunchNote {
  var finding: Finding {
    let kind =
      switch self {
      case .keptBackend: "keptBackend"
      case .notShared: "notShared"
      case .notUsed: "notUsed"
      case .balloonKeepsMemory: "balloonKeepsMemory"
      case .lockedMemory: "lockedMemory"
      case .unseen: "unseen"
      case .noGenerationID: "noGenerationID"
      case .sameGenerationID: "sameGenerationID"
      case .imageInMemory: "imageInMemory"
      }
    return Finding(kind: kind, message: description)
  }
}

extension ImageRemark {
  var finding: Finding {
    let kind =
      switch self {
      case .strayBits: "strayBits"
      case .bytesAfterEnd: "bytesAfterEnd"
      case .unfinishedAreas: "unfinishedAreas"
      case .noDescription: "noDescription"
      case .noFooters: "noFooters"
      case .libvirtFormat: "libvirtFormat"
      }
    return Finding(kind: kind, message: sentence)
  }
}

extension BaseObstacle {
  var finding: Finding {
    let kind =
      switch self {
      case .noChecksums: "noChecksums"
      case .otherPlaces: "otherPlaces"
      case .fileSystem: "fileSystem"
      case .inPlace: "inPlace"
      case .writtenByQEMU: "writtenByQEMU"
      }
    return Finding(kind: kind, message: description)
  }
}

extension HugePageObstacle {
  var finding: Finding {
    let kind =
      switch self {
      case .smallBlocks: "smallBlocks"
      case .pagesOffset: "pagesOffset"
      case .fileSystem: "fileSystem"
      case .disabled: "disabled"
      case .readAhead: "readAhead"
      }
    return Finding(kind: kind, message: description)
  }
}

extension ChannelNote {
  var finding: Finding {
    let kind =
      switch self {
      case .ioUringRefused: "ioUringRefused"
      case .buffersNotRegistered: "buffersNotRegistered"
      case .directIORefused: "directIORefused"
      }
    return Finding(kind: kind, message: text)
  }
}
