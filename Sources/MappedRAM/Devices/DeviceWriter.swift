import LinuxIO
import MappedRAMFormat

/// The devices' part of a save: a task for each, and the way of their buffers into the file.
///
/// A task takes a free buffer, lets its source fill it and puts it: the buffer gets its place, a
/// channel writes it, and it is free again. Where none is free the task waits: that is what holds
/// back a device that is faster than the file.
struct DeviceWriter: ~Copyable {
  private let devices: [DeviceSource]
  private let places: [BufferPlaces]
  private let aligned: AlignedPlaces
  private let areaStart: FileOffset
  private let progress: TransferProgress
  /// The buffers of each device, once it has finished.
  private let written: Monitor<[[StoredBuffer]]>
  private var tasks: DeviceTasks

  /// A writer of the plan's devices into `file`, which has `fileEnd` bytes. Nothing has been
  /// started.
  init(
    _ plan: SavePlan, to file: File, fileEnd: UInt64, inlet: WorkInlet, extentBytes: Int,
    progress: TransferProgress
  ) throws(ImageError) {
    let devices = plan.devices
    // Places that are given out come behind those that are fixed.
    let first = DeviceArea(start: plan.end, table: plan.end, devices: []).firstPlace
    let fixedEnd = devices.reduce(0) { max($0, $1.fixedPlaces?.end ?? 0) }
    let aligned = AlignedPlaces(in: file, from: first.rawValue + fixedEnd, fileEnd: fileEnd)
    if devices.contains(where: { !$0.isSection }) { try aligned.makeRoom() }
    let limits = plan.deviceLimits
    let longest = devices.reduce(limits.bufferBytes) { max($0, $1.fixedPlaces?.longest ?? 0) }
    let pool = try calling { () throws(SystemCallError) in
      try BufferPool(
        lanes: devices.count, longest: longest, limits: limits, .toFile, file, inlet: inlet,
        extentBytes: extentBytes)
    }
    tasks = try DeviceTasks(pool)
    places = devices.map { device in
      if let body = plan.sectionBodies[device.identity] { return .adjoining(from: body) }
      return device.fixedPlaces.map { .fixed($0.offsets, from: first) } ?? .aligned(aligned)
    }
    self.devices = devices
    self.aligned = aligned
    self.progress = progress
    areaStart = plan.end
    written = Monitor(Array(repeating: [], count: devices.count))
  }

  /// Starts the tasks.
  mutating func start() throws(ImageError) {
    let (pool, stop, progress, written) = (tasks.pool, tasks.stop, progress, written)
    // To fork this process takes the longer the more threads it has: before there are any. (A save of a VM has done it by now.)
    var devices = devices
    for index in devices.indices { try devices[index].prepare() }
    for (lane, device) in devices.enumerated() {
      let places = places[lane]
      let byteCount = device.source.byteCount
      if let byteCount { progress.plan(byteCount) }
      try tasks.start(device.identity) { () throws(DeviceFailure) in
        let sink = DeviceStateSink(
          pool, lane: lane, to: places, expecting: byteCount, stop: stop, progress: progress)
        try device.source.save(to: sink)
        let buffers = try sink.finish()
        written.withLock { $0[lane] = buffers }
      }
    }
  }

  /// Waits until every device has put all of its buffers; a sync is needed after that.
  func wait() { tasks.wait() }

  /// The area, if devices have one, and what became of each device.
  struct Outcome {
    var area: DeviceArea?
    var reports: [DeviceReport]
  }

  /// After a sync.
  var outcome: Outcome {
    let buffers = written.withLock { $0 }
    let stored = zip(devices, buffers).map { StoredDevice($0.identity, buffers: $1) }
    let inArea = zip(devices, stored).filter { !$0.0.isSection }.map(\.1)
    let area = DeviceArea(start: areaStart, table: aligned.end, devices: inArea)
    return Outcome(area: inArea.isEmpty ? nil : area, reports: tasks.pool.reports(of: stored))
  }
}
