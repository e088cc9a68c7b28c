import LinuxIO
import MappedRAMFormat

/// A device of an image, and what gets its state.
struct DeviceTarget {
  var stored: StoredDevice
  var target: any DeviceStateTarget

  /// The same, once its target has done what it can do before.
  fileprivate func prepared() throws(ImageError) -> DeviceTarget {
    do throws(DeviceFailure) {
      return DeviceTarget(stored: stored, target: try target.prepared())
    } catch {
      throw .device(stored.identity, error)
    }
  }
}

/// The devices' part of a restore: a task for each, and the way of their buffers out of the file.
///
/// A task asks for as many buffers as it may have; channels read them in any order, and the target
/// is handed them by number. As one comes back the next is asked for.
struct DeviceReader: ~Copyable {
  private let devices: [DeviceTarget]
  private var tasks: DeviceTasks

  /// A reader of `devices`, of which there are some. Nothing has been started.
  init(
    _ devices: [DeviceTarget], limits: DeviceLimits, from file: File, inlet: WorkInlet,
    extentBytes: Int, progress: TransferProgress
  ) throws(ImageError) {
    let longest = devices.flatMap(\.stored.buffers).reduce(0) {
      max($0, Int($1.byteCount.rawValue))
    }
    let pool = try calling { () throws(SystemCallError) in
      try BufferPool(
        lanes: devices.count, longest: longest, limits: limits, .fromFile, file, inlet: inlet,
        extentBytes: extentBytes)
    }
    tasks = try DeviceTasks(pool)
    self.devices = devices
    for device in devices { progress.plan(device.stored.byteCount.rawValue) }
  }

  /// Starts the tasks of the devices that are not loaded last.
  mutating func start() throws(ImageError) { try start(last: false) }

  /// Starts the tasks of the devices that want all RAM and all others to be in: after a `wait` and a
  /// sync.
  mutating func startLast() throws(ImageError) { try start(last: true) }

  private mutating func start(last: Bool) throws(ImageError) {
    let (pool, stop) = (tasks.pool, tasks.stop)
    // To fork this process takes the longer the more threads it has: before there are any.
    var prepared: [(lane: Int, device: DeviceTarget)] = []
    for (lane, device) in devices.enumerated() where device.target.loadsLast == last {
      prepared.append((lane, try device.prepared()))
    }
    for (lane, device) in prepared {
      try tasks.start(device.stored.identity) { () throws(DeviceFailure) in
        let feed = DeviceStateFeed(device.stored, from: pool, lane: lane, stop: stop)
        try device.target.load(from: feed)
        try feed.finish()
      }
    }
  }

  /// Waits until every device that was started has its state.
  func wait() { tasks.wait() }

  /// What became of each device.
  var reports: [DeviceReport] { tasks.pool.reports(of: devices.map(\.stored)) }
}
