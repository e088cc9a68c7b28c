import ArgumentParser
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// A device and where its state comes from or goes to, on the command line: `IDSTR[:INSTANCE]=FILE` or `IDSTR[:INSTANCE]=|COMMAND`.
struct DeviceArgument: Equatable, Sendable, ExpressibleByArgument {
  var identity: DeviceIdentity
  var end: End

  /// Where the state comes from or goes to.
  enum End: Equatable, Sendable {
    /// A file, a FIFO or the like.
    case file(FilePath)
    /// A command for /bin/sh.
    case command(String)
  }

  /// What `argument` says: the name is what stands before the first `=`, and an instance is a number behind the last colon of it.
  /// `nil` where the name or what follows is empty, or no device can have the name.
  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[1].isEmpty, let identity = DeviceIdentity(argument: parts[0])
    else { return nil }
    self.identity = identity
    if parts[1].first == "|" {
      let command = parts[1].dropFirst().drop { $0 == " " }
      guard !command.isEmpty else { return nil }
      end = .command(String(command))
    } else {
      end = .file(FilePath(String(parts[1])))
    }
  }

  static let defaultCompletionKind = CompletionKind.file()
}

/// A device whose state is to be a section, on the command line: `IDSTR[:INSTANCE]=VERSION`.
struct DeviceSection: Equatable, Sendable, ExpressibleByArgument {
  var identity: DeviceIdentity
  var version: UInt32

  /// What `argument` says.
  init?(argument: String) {
    guard let equals = argument.lastIndex(of: "="),
      let identity = DeviceIdentity(argument: argument[..<equals]),
      let version = UInt32(argument[argument.index(after: equals)...])
    else { return nil }
    self.identity = identity
    self.version = version
  }
}

/// A device on the command line: `IDSTR[:INSTANCE]`.
struct DeviceName: Equatable, Sendable, ExpressibleByArgument {
  var identity: DeviceIdentity

  /// What `argument` says.
  init?(argument: String) {
    guard let identity = DeviceIdentity(argument: argument[...]) else { return nil }
    self.identity = identity
  }
}

extension DeviceIdentity {
  /// The device that `argument` names: an instance is a number behind the last colon.
  fileprivate init?(argument: Substring) {
    var (idstr, instanceID) = (argument, UInt32(0))
    if let colon = argument.lastIndex(of: ":") {
      let digits = argument[argument.index(after: colon)...]
      if !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
        guard let number = UInt32(digits) else { return nil }
        (idstr, instanceID) = (argument[..<colon], number)
      }
    }
    self.init(String(idstr), instanceID: instanceID)
    guard isNameValid else { return nil }
  }
}

/// The devices whose state goes into an image.
struct DeviceSaveArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Keep the state of this device in the image too: what a file or a FIFO holds, or what a command writes to its stdout. \
      Devices are read in parallel with RAM. Repeat for each device.
      """, valueName: "idstr[:instance]=file or |command"))
  var device: [DeviceArgument] = []

  func validate() throws { try device.checkTwice() }

  /// The devices, with those of `others` that are not given here.
  func sources(
    sections: [DeviceSection], besides others: [DeviceSource] = []
  ) throws(ImageError) -> [DeviceSource] {
    let given = try device.map { (argument) throws(ImageError) in
      let source: any DeviceStateSource =
        switch argument.end {
        case .file(let path): try FileStateSource(path)
        case .command(let command): CommandStateSource(command)
        }
      let section = sections.first { $0.identity == argument.identity }
      let placement = section.map { DeviceSource.Placement.section(version: $0.version) }
      return DeviceSource(argument.identity, from: source, placement: placement ?? .area)
    }
    return others.filter { other in !given.contains { $0.identity == other.identity } } + given
  }
}

/// The devices whose state becomes a section of the stream.
struct DeviceSectionArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Write the state of this --device, which must be a file, into the stream as a section of this version, in place of one that is \
      there: for a device that QEMU itself has, and takes so.
      """, valueName: "idstr[:instance]=version"))
  var deviceSection: [DeviceSection] = []

  /// Makes sure that each section is of one of `devices`.
  func check(_ devices: [DeviceArgument]) throws {
    for section in deviceSection {
      guard devices.contains(where: { $0.identity == section.identity }) else {
        throw ValidationError(
          "--device-section names \"\(section.identity)\", which no --device names.")
      }
      if deviceSection.count(where: { $0.identity == section.identity }) > 1 {
        throw ValidationError("--device-section names \"\(section.identity)\" twice.")
      }
    }
  }
}

/// The devices whose state comes out of an image.
struct DeviceRestoreArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Give the state of this device, which the image has behind its stream, to a file or a FIFO, or to the stdin of a command. \
      Devices are loaded in parallel with RAM. Repeat for each device.
      """, valueName: "idstr[:instance]=file or |command"))
  var device: [DeviceArgument] = []

  @Option(
    help: ArgumentHelp(
      "Load this device after all RAM and all other devices. May be repeated.",
      valueName: "idstr[:instance]"))
  var deviceLast: [DeviceName] = []

  func validate() throws {
    try device.checkTwice()
    for name in deviceLast where !device.contains(where: { $0.identity == name.identity }) {
      throw ValidationError("--device-last names \"\(name.identity)\", which no --device names.")
    }
  }

  /// What gets the states of devices.
  ///
  /// - Throws: `TargetError.fileExists` where a file is there that may not be replaced.
  func targets(
    replacing: Replacing
  ) throws(ImageError) -> [DeviceIdentity: any DeviceStateTarget] {
    var targets: [DeviceIdentity: any DeviceStateTarget] = [:]
    for argument in device {
      targets[argument.identity] = try target(argument, replacing)
    }
    return targets
  }

  private func target(
    _ argument: DeviceArgument, _ replacing: Replacing
  ) throws(ImageError) -> any DeviceStateTarget {
    let loadsLast = deviceLast.contains { $0.identity == argument.identity }
    switch argument.end {
    case .file(let path):
      var target = try FileStateTarget(path, replacing: replacing)
      target.loadsLast = loadsLast
      return target
    case .command(let command):
      var target = CommandStateTarget(command)
      target.loadsLast = loadsLast
      return target
    }
  }
}

extension [DeviceArgument] {
  fileprivate func checkTwice() throws {
    let names = map(\.identity)
    if let twice = names.first(where: { name in names.count { $0 == name } > 1 }) {
      throw ValidationError("--device names \"\(twice)\" twice; its state has one place.")
    }
  }
}
