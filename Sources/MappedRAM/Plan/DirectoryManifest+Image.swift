import LinuxIO
import MappedRAMFormat
import SystemPackage

extension DirectoryManifest {
  /// The manifest of an image whose blocks went to `files`.
  init(
    _ image: Image, prologue: StreamPrologue, files: [String: String],
    deviceFiles: [DeviceIdentity: String], presentZeros: [String: PageBitmap], hasPrefix: Bool
  ) {
    container = image.container.name
    streamOffset = image.streamOffset.rawValue
    layout = image.slots.flatMap { $0 == .qemu ? nil : $0.rawValue }
    prefixFile = hasPrefix ? Self.prefixFileName : nil
    machineType = prologue.configuration.machineType
    configuration = prologue.configuration.subsections.map(Subsection.init)
    preambleFile = prologue.preamble.isEmpty ? nil : Self.preambleFileName
    ramSectionID = prologue.ramSectionID
    hasFooters = prologue.hasFooters ? nil : false
    vmstateFile = Self.vmstateFileName
    factsFile = image.facts == nil ? nil : Self.factsFileName
    hasChecksums = image.areas.headers.contains { $0.kind == .sums } ? true : nil
    devices = image.deviceArea.map { area in
      zip(area.devices, Device.places(of: area)).compactMap { device, places in
        deviceFiles[device.identity].map { Device(device, at: places, file: $0) }
      }
    }
    blocks = image.blocks.map { block in
      let idstr = block.idstr
      let runs = presentZeros[idstr]?.runs.map { [$0.lowerBound, $0.count] } ?? []
      return Block(
        idstr: idstr, usedLength: block.usedLength.rawValue,
        pageSize: UInt64(block.pageSize.byteCount), file: files[idstr],
        address: block.block.address, presentZeroPages: runs.isEmpty ? nil : runs)
    }
  }

  /// The layout that the manifest names.
  ///
  /// - Throws: `PlanError.manifest`.
  func slots(at path: FilePath) throws(ImageError) -> SlotLayout {
    guard let layout else { return .qemu }
    guard let slots = SlotLayout(rawValue: layout) else {
      throw .plan(.manifest(path, .badValue(key: "layout", found: Self.text(of: layout))))
    }
    return slots
  }

  /// The configuration that the manifest describes.
  ///
  /// - Throws: `PlanError.manifest`.
  func streamConfiguration(at path: FilePath) throws(ImageError) -> Configuration {
    var subsections: [Configuration.Subsection] = []
    for subsection in configuration {
      guard let value = subsection.value else {
        throw .plan(
          .manifest(path, .badValue(key: "configuration", found: Self.text(of: subsection))))
      }
      subsections.append(value)
    }
    return Configuration(machineType: machineType, subsections: subsections)
  }
}

extension DirectoryManifest.Block {
  /// The block that this entry describes.
  func ramBlock(at path: FilePath) throws(ImageError) -> RAMBlock {
    guard let size = PageSize(byteCount: pageSize) else {
      throw .plan(.manifest(path, .badValue(key: "pageSize", found: "\(pageSize)")))
    }
    do throws(FormatError) {
      return try RAMBlock(
        idstr: idstr, usedLength: ByteCount(usedLength), pageSize: size, address: address,
        isIgnored: file == nil)
    } catch {
      throw .plan(.manifest(path, .badBlock(error)))
    }
  }

  /// The pages that are to be present though they are zero.
  func presentZeros(of block: RAMBlock, at path: FilePath) throws(ImageError) -> PageBitmap? {
    guard let presentZeroPages else { return nil }
    var bitmap = PageBitmap(pageCount: block.pageCount)
    for run in presentZeroPages {
      guard run.count == 2, run[0] >= 0, run[1] >= 0, run[0] <= block.pageCount,
        run[1] <= block.pageCount - run[0]
      else {
        throw .plan(.manifest(path, .badValue(key: "presentZeroPages", found: "\(run)")))
      }
      bitmap.insert(run[0]..<(run[0] + run[1]))
    }
    return bitmap
  }
}

extension DirectoryManifest.Device {
  /// For each buffer of each device where it is to stand, from the first aligned place of an area.
  ///
  /// That is where it was; a buffer that somebody else put before that place gets one behind all others. What is between the header
  /// and that place depends on where the stream ends, so it is no room to count on.
  fileprivate static func places(of area: DeviceArea) -> [[UInt64]] {
    let first = area.firstPlace
    var next = ByteCount.zero
    for buffer in area.devices.flatMap(\.buffers) where buffer.offset >= first {
      next = max(next, buffer.offset + buffer.byteCount - first)
    }
    return area.devices.map { device in
      device.buffers.map { buffer in
        if buffer.offset >= first { return (buffer.offset - first).rawValue }
        guard buffer.byteCount > .zero else { return 0 }
        let mask = DeviceArea.alignment - 1
        let place = (next.rawValue + mask) & ~mask
        next = ByteCount(place) + buffer.byteCount
        return place
      }
    }
  }

  /// The entry of `device`, whose buffers are to stand at `places` and whose state is in `file`.
  fileprivate init(_ device: StoredDevice, at places: [UInt64], file: String) {
    idstr = device.identity.idstr
    instanceID = device.identity.instanceID
    self.file = file
    buffers = zip(places, device.buffers).map { [$0, $1.byteCount.rawValue] }
    let numbers = device.buffers.indices.filter { device.buffers[$0].isConfiguration }
    configurationBuffers = numbers.isEmpty ? nil : numbers
  }

  /// The device that this entry, which has been checked, describes, with the state in `file`.
  func save(from file: File) throws(ImageError) -> DeviceSource {
    let configuration = Set(configurationBuffers ?? [])
    var found: [BufferedFileSource.Buffer] = []
    var places = DeviceSource.FixedPlaces(offsets: [], end: 0, longest: 0)
    var total: UInt64 = 0
    for (number, buffer) in buffers.enumerated() {
      found.append(
        BufferedFileSource.Buffer(
          byteCount: Int(buffer[1]), isConfiguration: configuration.contains(number)))
      places.offsets.append(buffer[0])
      places.end = max(places.end, buffer[0] + buffer[1])
      places.longest = max(places.longest, Int(buffer[1]))
      total += buffer[1]
    }
    let size = try calling(file.size)
    guard size == total else {
      throw .plan(.deviceSize(file.path, identity, found: size, expected: total))
    }
    var device = DeviceSource(identity, from: BufferedFileSource(file: file, buffers: found))
    device.fixedPlaces = places
    return device
  }

  /// Whose state it is.
  var identity: DeviceIdentity { DeviceIdentity(idstr, instanceID: instanceID) }
}

extension DirectoryManifest.Subsection {
  init(_ subsection: Configuration.Subsection) {
    switch subsection {
    case .targetPageBits(let bits): targetPageBits = bits
    case .capabilities(let names): capabilities = names
    case .uuid(let bytes): uuid = UUIDText.format(bytes)
    }
  }

  /// The subsection, if just one key is there and has a value that can be.
  var value: Configuration.Subsection? {
    switch (capabilities, targetPageBits, uuid) {
    case (let names?, nil, nil):
      let isGood = names.allSatisfy { name in
        (1...ImageLimits.nameBytes).contains(name.utf8.count)
          && name.utf8.allSatisfy { (0x20...0x7e).contains($0) }
      }
      return isGood && names.count <= ImageLimits.capabilities ? .capabilities(names) : nil
    case (nil, let bits?, nil):
      return PageSize.shifts.contains(Int(bits)) ? .targetPageBits(bits) : nil
    case (nil, nil, let text?):
      return UUIDText.parse(text).map { .uuid($0) }
    default:
      return nil
    }
  }
}

extension Image.Container {
  /// The name of this kind of container in JSON.
  public var name: String {
    switch self {
    case .qemu: "qemu"
    case .libvirt, .damagedLibvirt: "libvirt"
    }
  }
}
