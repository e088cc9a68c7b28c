import LinuxIO
import MappedRAMFormat

/// The devices' part of a save: their tasks, and the way of their buffers through the channels.
struct DeviceSaving: ~Copyable {
  private let devices: [DeviceSave]
  private let writer: SequenceWriter
  private let places: AlignedPlaces
  private let lanes: [SavedLane]
  private let inlet: WorkInlet
  private let areaStart: FileOffset
  private var tasks: DeviceTasks

  /// The saving of the plan's devices into `file`, which has `fileEnd` bytes. Nothing has been started.
  init(
    _ plan: SavePlan, to file: File, fileEnd: UInt64, inlet: WorkInlet, extentBytes: Int,
    progress: Progress
  ) throws(ImageError) {
    let (devices, limits) = (plan.devices, plan.deviceLimits)
    let stop = try calling { () throws(SystemCallError) in try StopSignal() }
    let longest = devices.reduce(limits.bufferBytes) { max($0, $1.places?.longest ?? 0) }
    let (bufferBytes, poolLimits) = limits.pool(longest: longest)
    let pool = try calling { () throws(SystemCallError) in
      try BufferPool(lanes: devices.count, bufferBytes: bufferBytes, limits: poolLimits)
    }
    // Places that are given out come behind those that are fixed.
    let alignment = DeviceArea.alignment
    let start = plan.end.rawValue + UInt64(DeviceAreaHeader.byteCount)
    let first = (start + alignment - 1) & ~(alignment - 1)
    let fixedEnd = first + devices.reduce(0) { max($0, $1.places?.end ?? 0) }
    let places = AlignedPlaces(in: file, from: fixedEnd, fileEnd: fileEnd, alignment: alignment)
    if devices.contains(where: { !$0.isSection }) { try places.makeRoom(to: fixedEnd) }
    let writer = SequenceWriter(
      places: devices.map { device -> any PlaceAllocator in
        if let body = plan.sectionBodies[device.identity] { return AdjoiningPlaces(from: body) }
        return device.places.map { FixedPlaces($0.offsets, from: first) } ?? places
      }, pool: pool, to: file, inlet: inlet, extentBytes: extentBytes)
    areaStart = plan.end
    self.devices = devices
    self.inlet = inlet
    self.places = places
    self.writer = writer
    lanes = devices.enumerated().map { lane, device in
      SavedLane(lane, of: writer, keepsOrder: device.isSection, progress: progress)
    }
    tasks = DeviceTasks(
      stop: stop, onStop: { writer.stop() }, onFailure: { inlet.fail($0) })
  }

  /// Starts the tasks.
  mutating func start() throws(ImageError) {
    for (device, lane) in zip(devices, lanes) {
      let stop = tasks.stop
      if let byteCount = device.source.byteCount { lane.announce(byteCount) }
      try tasks.start(device.identity) { () throws(DeviceFailure) in
        let sink = DeviceStateSink(
          lane, expecting: device.source.byteCount, stop: stop)
        try device.source.save(to: sink)
        try sink.finish()
      }
    }
  }

  /// Waits until every device has put all of its buffers; a sync is needed after that.
  func wait() { tasks.wait { inlet.mustStop() } }

  /// The area, if devices have one, and what became of each device. After a sync.
  var outcome: (area: DeviceArea?, reports: [DeviceReport]) {
    let stored = zip(devices, lanes).map { StoredDevice($0.identity, buffers: $1.buffers) }
    let peaks = writer.pool.peaks.lanes
    let reports = zip(stored, peaks).map { device, peak in
      DeviceReport(
        identity: device.identity, byteCount: device.byteCount.rawValue,
        buffers: device.buffers.count, peakBuffers: peak)
    }
    let inArea = zip(devices, stored).filter { !$0.0.isSection }.map(\.1)
    let area = DeviceArea(start: areaStart, table: FileOffset(places.end), devices: inArea)
    return (inArea.isEmpty ? nil : area, reports)
  }
}

/// The way of one device's buffers: what the device's task sees of it, and what became of them.
private final class SavedLane: DeviceSaveLane, Sendable {
  private let lane: Int
  private let writer: SequenceWriter
  /// Whether buffers must come in the order of their numbers, since their places have it.
  private let keepsOrder: Bool
  private let progress: Progress
  private let state = Monitor(State())

  private struct State {
    var places = NumberedPlaces()
    var complete: [StoredBuffer] = []
    var isAnnounced = false
  }

  init(_ lane: Int, of writer: SequenceWriter, keepsOrder: Bool, progress: Progress) {
    self.lane = lane
    self.keepsOrder = keepsOrder
    self.writer = writer
    self.progress = progress
  }

  /// All buffers in order, once the device has finished.
  var buffers: [StoredBuffer] { state.withLock { $0.complete } }

  /// Counts bytes that will come as work to do; those of the buffers are not counted again.
  func announce(_ byteCount: UInt64) {
    progress.plan(byteCount)
    state.withLock { $0.isAnnounced = true }
  }

  var bufferBytes: Int { writer.pool.bufferBytes }

  func take() -> Int? { writer.take(for: lane) }

  @unsafe
  func bytes(of buffer: Int) -> UnsafeMutableRawBufferPointer {
    unsafe writer.pool.bytes(of: buffer)
  }

  func give(_ buffer: Int) { writer.give(buffer, from: lane) }

  func put(
    _ buffer: Int, byteCount: Int, number: UInt32?, isConfiguration: Bool
  ) throws(DeviceFailure) {
    let offset: FileOffset
    do throws(ImageError) {
      offset = try writer.put(buffer, byteCount: byteCount, from: lane)
    } catch {
      // Not this device's fault: the file cannot be made longer.
      writer.fail(error)
      throw .stopped
    }
    let place = StoredBuffer(
      offset: offset, byteCount: ByteCount(byteCount), isConfiguration: isConfiguration)
    try state.withLock(wakesWaiters: false) { (state) throws(DeviceFailure) in
      if !state.isAnnounced { progress.plan(UInt64(byteCount)) }
      let next = state.places.nextNumber
      try DeviceFailure.sequence { () throws(SequenceProblem) in
        if keepsOrder, let number, number > next { throw .numberMissing(next) }
        try state.places.insert(place, number: number ?? next)
      }
    }
  }

  func finish() throws(DeviceFailure) {
    // A device without any state has one buffer without bytes, so that there is a last one.
    let isEmpty = state.withLock(wakesWaiters: false) { $0.places.nextNumber == 0 }
    if isEmpty {
      // Without bytes nothing is queued.
      guard let buffer = take() else { throw .stopped }
      try put(buffer, byteCount: 0, number: 0, isConfiguration: false)
    }
    writer.pool.close(lane)
    try state.withLock { (state) throws(DeviceFailure) in
      state.complete = try DeviceFailure.sequence { () throws(SequenceProblem) in
        try state.places.complete()
      }
    }
  }
}

extension DeviceFailure {
  /// Gives the errors of `body` as ones of a device.
  static func sequence<Value>(
    _ body: () throws(SequenceProblem) -> Value
  ) throws(DeviceFailure) -> Value {
    do throws(SequenceProblem) {
      return try body()
    } catch {
      throw .sequence(error)
    }
  }
}
