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
    guard parts.count == 2, !parts[1].isEmpty else { return nil }
    var (idstr, instanceID) = (parts[0], UInt32(0))
    if let colon = parts[0].lastIndex(of: ":") {
      let digits = parts[0][parts[0].index(after: colon)...]
      if !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
        guard let number = UInt32(digits) else { return nil }
        (idstr, instanceID) = (parts[0][..<colon], number)
      }
    }
    identity = DeviceIdentity(String(idstr), instanceID: instanceID)
    guard identity.isNameValid else { return nil }
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

/// The devices of `mapped-ram save`.
struct SaveDevices: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Keep the state of this device in the image too: what a file or a FIFO holds, or what a command writes to its standard \
      output. Each device is read beside the RAM, from the start on. Repeat it for each.
      """, valueName: "idstr[:instance]=file or |command"))
  var device: [DeviceArgument] = []

  func validate() throws { try device.checkTwice() }

  /// The devices, with those of `others` that are not given here.
  func saves(besides others: [DeviceSave] = []) throws(ImageError) -> [DeviceSave] {
    let given = try device.map { (argument) throws(ImageError) in
      switch argument.end {
      case .file(let path):
        DeviceSave(argument.identity, from: try FileStateSource(path))
      case .command(let command):
        DeviceSave(argument.identity, from: CommandStateSource(command))
      }
    }
    return others.filter { other in !given.contains { $0.identity == other.identity } } + given
  }
}

/// The devices of `mapped-ram restore`.
struct RestoreDevices: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Give the state of this device, which the image has behind its stream, to a file or a FIFO, or to the standard input of a \
      command. Each device is loaded beside the RAM. Repeat it for each.
      """, valueName: "idstr[:instance]=file or |command"))
  var device: [DeviceArgument] = []

  @Option(
    help: ArgumentHelp(
      "Load this device only once all RAM and all other devices are in. May be repeated.",
      valueName: "idstr[:instance]"))
  var deviceLast: [String] = []

  func validate() throws {
    try device.checkTwice()
    for name in deviceLast where !device.contains(where: { $0.identity.description == name }) {
      throw ValidationError("--device-last names \"\(name)\", which no --device names.")
    }
  }

  /// What gets the states of devices.
  var targets: [DeviceIdentity: any DeviceStateTarget] {
    Dictionary(uniqueKeysWithValues: device.map { ($0.identity, target($0)) })
  }

  private func target(_ argument: DeviceArgument) -> any DeviceStateTarget {
    let loadsLast = deviceLast.contains(argument.identity.description)
    switch argument.end {
    case .file(let path):
      var target = FileStateTarget(path)
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
