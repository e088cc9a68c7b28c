import MappedRAM
import MappedRAMFormat
import SystemPackage

extension InspectJSON {
  /// The form of `inspection` for programs.
  init(_ inspection: Inspection) {
    let image = inspection.image
    let configuration = image.prologue?.configuration
    path = image.path.string
    container = image.container.name
    libvirt =
      if case .libvirt(let found) = image.container {
        OrNull(Libvirt(found, inspection.domain))
      } else {
        OrNull(nil)
      }
    streamOffset = image.streamOffset.rawValue
    machineType = OrNull(configuration?.machineType)
    capabilities = OrNull(configuration?.capabilities)
    uuid = OrNull(configuration?.uuid.map { UUIDText.format($0) })
    pageSize = OrNull(inspection.pageSize?.byteCount)
    complete = image.isComplete
    runState = OrNull(inspection.runState)
    hasDescription = image.description != nil
    ramTotalBytes = OrNull(image.ramTotal?.rawValue)
    blocks = zip(image.blocks, inspection.slots).map { Block($0, $1) }
    sections = image.sections.map { Section($0) }
    devices = inspection.devices.map { $0.map { Device($0) } }
    deviceArea = OrNull(image.deviceArea.map { Area($0) })
    fileSize = image.fileSize.rawValue
    allocatedBytes = inspection.allocatedBytes
    problems = image.problems.map(\.description)
    problemDetails = image.problems.map {
      Problem(
        offset: $0.offset.rawValue, context: $0.context.description, message: $0.kind.description)
    }
    remarks = image.remarks.map(\.sentence)
  }
}

extension InspectJSON.Block {
  init(_ block: ImageBlock, _ slots: SlotFacts) {
    idstr = block.idstr
    usedLength = block.usedLength.rawValue
    pageSize = block.pageSize.byteCount
    bitmapOffset = OrNull(block.layout.bitmap?.lowerBound.rawValue)
    pagesOffset = OrNull(block.layout.pages?.lowerBound.rawValue)
    pageCount = block.pageCount
    pagesPresent = OrNull(block.pagesPresent)
    presentBytes = OrNull(block.presentBytes)
    pagesStale = OrNull(slots.pagesStale)
    allocatedBytes = OrNull(slots.allocatedBytes)
    isIgnored = block.block.isIgnored
    address = OrNull(block.block.address)
    presentRuns = slots.presentRuns?.runs
    presentRunsCut = slots.presentRuns?.isCut
    staleRuns = slots.staleRuns?.runs
    staleRunsCut = slots.staleRuns?.isCut
  }
}

extension InspectJSON.Section {
  init(_ section: ImageSection) {
    type = section.type.name
    id = OrNull(section.id)
    idstr = OrNull(section.identity?.idstr)
    instanceID = OrNull(section.identity?.instanceID)
    version = OrNull(section.identity?.version)
    command = OrNull(section.command?.code.name)
    offset = section.offset.rawValue
    length = section.byteCount.rawValue
  }
}

extension InspectJSON.Area {
  init(_ area: DeviceArea) {
    offset = area.start.rawValue
    length = (area.end - area.start).rawValue
    devices = area.devices.map { device in
      InspectJSON.StoredDevice(
        idstr: device.identity.idstr, instanceID: device.identity.instanceID,
        byteCount: device.byteCount.rawValue, bufferCount: device.buffers.count,
        configurationBuffers: device.buffers.count(where: \.isConfiguration))
    }
  }
}

extension InspectJSON.Libvirt {
  init(_ libvirt: LibvirtContainer, _ domain: LibvirtDomain?) {
    headerVersion = libvirt.header.version
    byteOrder = libvirt.header.byteOrder.rawValue
    dataLength = libvirt.header.dataLength
    format = "\(libvirt.header.format)"
    isComplete = libvirt.header.isComplete
    wasRunning = libvirt.header.wasRunning
    hasCookie = libvirt.cookie != nil
    name = OrNull(domain?.name)
    uuid = OrNull(domain?.uuid)
    type = OrNull(domain?.type)
    architecture = OrNull(domain?.architecture)
    machine = OrNull(domain?.machine)
    memoryBytes = OrNull(domain?.memoryBytes)
    vcpus = OrNull(domain?.vcpus)
  }
}
