import LinuxIO
import MappedRAMFormat

/// The devices' part of a restore: their tasks, and the way of their buffers through the channels.
struct DeviceLoading: ~Copyable {
  /// A device of the image, and what gets its state.
  struct Device {
    var stored: StoredDevice
    var target: any DeviceStateTarget
  }

  private let devices: [Device]
  private let reader: SequenceReader
  private let inlet: WorkInlet
  private var tasks: DeviceTasks

  /// The loading of `devices`, of which there are some. Nothing has been started.
  init(
    _ devices: [Device], limits: DeviceLimits, from file: File, inlet: WorkInlet, extentBytes: Int,
    progress: Progress
  ) throws(ImageError) {
    let stop = try calling { () throws(SystemCallError) in try StopSignal() }
    let longest = devices.flatMap(\.stored.buffers).reduce(0) {
      max($0, Int($1.byteCount.rawValue))
    }
    let (bufferBytes, limits) = limits.pool(longest: longest)
    let pool = try calling { () throws(SystemCallError) in
      try BufferPool(lanes: devices.count, bufferBytes: bufferBytes, limits: limits)
    }
    let reader = SequenceReader(pool: pool, from: file, inlet: inlet, extentBytes: extentBytes)
    self.devices = devices
    self.inlet = inlet
    self.reader = reader
    tasks = DeviceTasks(
      stop: stop, onStop: { reader.stop() }, onFailure: { inlet.fail($0) })
    for device in devices { progress.plan(device.stored.byteCount.rawValue) }
  }

  /// Starts the tasks of the devices that are not loaded last.
  mutating func start() throws(ImageError) { try start(last: false) }

  /// Starts the tasks of the devices that want all RAM and all others to be in: after a `wait` and a sync.
  mutating func startLast() throws(ImageError) { try start(last: true) }

  private mutating func start(last: Bool) throws(ImageError) {
    for (lane, device) in devices.enumerated() where device.target.loadsLast == last {
      let (reader, stop) = (reader, tasks.stop)
      try tasks.start(device.stored.identity) { () throws(DeviceFailure) in
        let feed = DeviceStateFeed(
          LoadedLane(lane, of: reader, buffers: device.stored.buffers), stop: stop)
        try device.target.load(from: feed)
        try feed.finish()
      }
    }
  }

  /// Waits until every device that was started has its state.
  func wait() { tasks.wait { inlet.mustStop() } }

  /// What became of each device.
  var reports: [DeviceReport] {
    zip(devices, reader.pool.peaks.lanes).map { device, peak in
      DeviceReport(
        identity: device.stored.identity, byteCount: device.stored.byteCount.rawValue,
        buffers: device.stored.buffers.count, peakBuffers: peak)
    }
  }
}

extension DeviceLimits {
  /// The pool for buffers of up to `longest` bytes: as many of them as have the bytes that the limits allow, and no more of shorter
  /// ones.
  func pool(longest: Int) -> (bufferBytes: Int, limits: BufferPool.Limits) {
    let alignment = Int(DeviceArea.alignment)
    let bytes = max(alignment, (longest + alignment - 1) / alignment * alignment)
    let weight = max(1, (bytes + bufferBytes - 1) / bufferBytes)
    return (
      bytes,
      BufferPool.Limits(
        perLane: max(1, buffersPerDevice / weight), inAll: max(1, buffers / weight))
    )
  }
}

/// The way of one device's buffers: what the device's task sees of it.
private struct LoadedLane: DeviceLoadLane {
  private let number: Int
  private let reader: SequenceReader
  private let buffers: [StoredBuffer]
  private var lane: SequenceReader.Lane
  private var taken = 0

  init(_ number: Int, of reader: SequenceReader, buffers: [StoredBuffer]) {
    self.number = number
    self.reader = reader
    self.buffers = buffers
    lane = SequenceReader.Lane(reader, lane: number, buffers: buffers)
  }

  var byteCount: UInt64 { buffers.reduce(0) { $0 + $1.byteCount.rawValue } }

  var bufferCount: Int { buffers.count }

  mutating func next() -> FullBuffer? {
    guard let index = lane.next() else { return nil }
    let buffer = buffers[taken]
    taken += 1
    return FullBuffer(
      index: index, byteCount: Int(buffer.byteCount.rawValue),
      isConfiguration: buffer.isConfiguration)
  }

  @unsafe
  func bytes(of buffer: FullBuffer) -> UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(
      rebasing: reader.pool.bytes(of: buffer.index)[..<buffer.byteCount])
  }

  func give(_ buffer: Int) { reader.pool.give(buffer, from: number) }

  func finish() { reader.pool.close(number) }
}
