import LinuxIO
import MappedRAM
import MappedRAMFormat

/// All that `inspect` knows of an image, before it is made text or JSON.
struct Inspection: Equatable, Sendable {
  /// What stands in the image.
  var image: Image
  /// Bytes that the file takes on its file system.
  var allocatedBytes: UInt64
  /// What is known of each block's slots, in the order of `image.blocks`.
  var slots: [SlotFacts]
  /// The run state at the time of the save, like `running`.
  var runState: String?
  /// What keeps VMs that run on the image from mapping it by huge pages; empty where nothing does.
  var hugePageObstacles: [HugePageObstacle]
  /// The summary of libvirt's XML.
  var domain: LibvirtDomain?
  /// The devices, if they were asked for.
  var devices: [DeviceFacts]?

  /// What to find out besides.
  struct Wishes: Equatable, Sendable {
    /// Decode the state of each device.
    var devices = false
    /// Keep what of each block is present.
    var pages = false
    /// Keep the runs of pages of each block.
    var runs = false
  }
}

/// What is known of the slots of one block.
struct SlotFacts: Equatable, Sendable {
  /// Bytes of the pages region that are no hole; `nil` where there is no region or no way to know.
  var allocatedBytes: UInt64?
  /// Absent pages whose slot is no hole; `nil` as above.
  var pagesStale: Int?
  /// Which pages are present, and which slots are stale.
  var map: PageMap?
  /// The runs of present pages.
  var presentRuns: RunList?
  /// The runs of stale slots.
  var staleRuns: RunList?
}

extension Inspection {
  /// Reads all of `file` but its pages.
  ///
  /// - Parameters:
  ///   - streamOffset: where the stream begins; `nil` where the container says, or at 0.
  ///   - cancellation: ends the reading.
  /// - Throws: `ImageError.system`, `.cancelled`.
  init(
    of file: File, streamOffset: FileOffset?, wishes: Wishes = Wishes(),
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) {
    var slots: [String: SlotFacts] = [:]
    image = try Image(reading: file, streamOffset: streamOffset, cancellation: cancellation) {
      (block, bitmap) throws(ImageError) in
      let allocation = try SlotAllocation.find(block, present: bitmap, in: file)
      slots[block.idstr] = SlotFacts(bitmap, allocation, wishes: wishes)
    }
    self.slots = image.blocks.map { slots[$0.idstr] ?? SlotFacts() }
    allocatedBytes = try calling(file.allocatedBytes)
    if case .libvirt(let container) = image.container {
      domain = LibvirtDomain(xml: container.xml)
    }
    runState = try Self.runState(in: image, of: file)
    hugePageObstacles = try image.hugePageObstacles()
    devices = wishes.devices ? try DeviceFacts.all(in: image, of: file) : nil
  }

  /// What the image says that the VM was doing; `nil` also where that cannot be understood: all else is still shown.
  private static func runState(in image: Image, of file: File) throws(ImageError) -> String? {
    do throws(ImageError) {
      return try image.runState(in: file)?.rawValue
    } catch .format {
      return nil
    }
  }
}

extension SlotFacts {
  fileprivate init(_ present: PageBitmap, _ allocation: SlotAllocation?, wishes: Inspection.Wishes)
  {
    let stale = allocation?.stalePages
    allocatedBytes = allocation?.allocatedBytes.rawValue
    pagesStale = stale?.population
    if wishes.pages { map = PageMap(present: present, stale: stale) }
    if wishes.runs {
      presentRuns = RunList(present)
      staleRuns = stale.map { RunList($0) }
    }
  }
}

/// The runs of a bitmap, as far as they are kept.
struct RunList: Equatable, Sendable {
  /// First page and count of each.
  var runs: [[Int]] = []
  /// Whether there are more.
  var isCut = false

  /// The most runs that are kept for a block, so that a fragmented one does not swamp the reader.
  static let limit = 65536

  init(_ bitmap: PageBitmap) {
    for run in bitmap.runs {
      guard runs.count < Self.limit else {
        isCut = true
        return
      }
      runs.append([run.lowerBound, run.count])
    }
  }
}

/// A device's section and what is in it.
struct DeviceFacts: Equatable, Sendable {
  /// Whose it is.
  var identity: SectionIdentity
  /// The bytes of its state.
  var body: Range<FileOffset>
  /// What came of decoding it.
  var outcome: Outcome

  /// What came of decoding a device.
  enum Outcome: Equatable, Sendable {
    /// The state, field by field, perhaps up to a problem.
    case decoded(DecodedDevice)
    /// The bytes that the description does not speak of.
    case notDescribed
    /// The state has more than `DeviceFacts.byteLimit` bytes, or all of them too many values.
    case tooLong
  }

  /// The most bytes of one device that are read.
  static let byteLimit = ByteCount(UInt64(16) << 20)
  /// The most bytes of all devices that are read.
  static let totalLimit = ByteCount(UInt64(64) << 20)

  /// Decodes the devices of `image`: its sections of type FULL.
  ///
  /// - Complexity: O(bytes of the device state), within the limits.
  static func all(in image: Image, of file: File) throws(ImageError) -> [DeviceFacts] {
    var devices: [DeviceFacts] = []
    var total = ByteCount.zero
    var budget = ImageLimits.descriptionValues
    let all = image.description?.devices ?? []
    var described = DescribedSections(of: all)
    for section in image.sections where section.type == .full {
      guard let identity = section.identity else { continue }
      var facts = DeviceFacts(identity: identity, body: section.body, outcome: .notDescribed)
      if let index = described.next(identity) {
        let length = section.body.byteCount
        if length > byteLimit || total + length > totalLimit || budget == 0 {
          facts.outcome = .tooLong
        } else {
          total += length
          facts.outcome = .decoded(try decode(all[index], section.body, of: file, &budget))
        }
      }
      devices.append(facts)
    }
    return devices
  }

  private static func decode(
    _ device: DescribedDevice, _ body: Range<FileOffset>, of file: File, _ budget: inout Int
  ) throws(ImageError) -> DecodedDevice {
    let bytes = try ImageFile(file).read(Int(body.byteCount.rawValue), at: body.lowerBound)
    // SAFETY: a UInt8 has no padding, so each of the bytes has a value.
    var input = ByteInput(unsafe bytes.span.bytes, at: body.lowerBound)
    return DeviceStateDecoder.decode(device, from: &input, budget: &budget)
  }
}
