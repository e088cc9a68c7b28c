import LinuxIO
import MappedRAM
import QEMUArguments

/// The files of a restore that a QEMU which is started for it has from the start: to hand them over later takes a command for each, and
/// each command half a millisecond.
final class InheritedFiles: Sendable {
  /// What QEMU writes its device state into, for the comparison with the image.
  let deviceState: File
  /// The set in which QEMU has that and the stream: it takes the one that is open in the way that it needs, for writing or for reading.
  let set = QEMUDescriptor.newSet()
  private let stream: File
  private let written = Monitor<Stream?>(nil)
  private let deviceStateEnd: OwnedDescriptor
  private let streamEnd: OwnedDescriptor
  /// Of no set: QEMU before 9.1 closes what it does not use of one when its last monitor goes.
  private let lock: OwnedDescriptor?

  /// What is in the stream.
  private struct Stream {
    /// The blocks whose pages it has.
    var carried: Set<String>
    /// The capabilities that QEMU must have for it.
    var capabilities: [String]
  }

  /// Files for a restore of `source`.
  ///
  /// - Parameter locksImage: whether QEMU gets a shared lock on the image as well, which it keeps until it ends.
  /// - Throws: EWOULDBLOCK where a program is writing into the image now; what memfd_create(2) and open(2) give.
  init(for source: RestoreSource, locksImage: Bool) throws(SystemCallError) {
    lock = locksImage ? try source.sharedLock() : nil
    deviceState = try File.inMemory(name: "device state", byteCount: 0)
    stream = try File.inMemory(name: "incoming stream", byteCount: 0)
    deviceStateEnd = try deviceState.openAgain(for: .writing, direct: false)
    streamEnd = try stream.openAgain(for: .reading, direct: false)
  }

  /// The name of both files for QEMU.
  var path: String { QEMUDescriptor(set: set, number: 0).path }

  /// What QEMU must inherit. Of the lock it knows nothing.
  var descriptors: [CInt] {
    let ends = [deviceStateEnd.rawValue, streamEnd.rawValue]
    switch lock {
    case .some(let lock): return ends + [lock.rawValue]
    case .none: return ends
    }
  }

  /// Adds the files to QEMU's arguments.
  func add(to line: inout QEMUCommandLine) {
    for descriptor in [deviceStateEnd.rawValue, streamEnd.rawValue] {
      line.append("-add-fd", "fd=\(descriptor),set=\(set),opaque=mapped-ram")
    }
  }

  /// Writes the stream, unless it is there already.
  ///
  /// - Parameter carried: the blocks whose pages are to be in it.
  /// - Returns: the capabilities that QEMU must have for it.
  @discardableResult
  func write(
    _ source: RestoreSource, carrying carried: Set<String>, _ cancellation: Cancellation
  ) throws(ImageError) -> [String] {
    let before = written.withLock { $0 }
    if let before, before.carried == carried { return before.capabilities }
    if before != nil {
      do throws(SystemCallError) {
        try stream.truncate(to: 0)
      } catch {
        throw .system(error)
      }
    }
    let capabilities = try source.writeStream(to: stream, carrying: carried, cancellation)
    written.withLock { $0 = Stream(carried: carried, capabilities: capabilities) }
    return capabilities
  }
}

extension RestoreSource {
  /// A descriptor of the image with a shared lock on it: as long as a process has it, no program that asks for one writes into the image.
  ///
  /// - Throws: EWOULDBLOCK where one is writing into it now.
  func sharedLock() throws(SystemCallError) -> OwnedDescriptor {
    let descriptor = try file.openAgain(for: .reading, direct: false)
    try File.lock(descriptor, .shared, path: file.path)
    return descriptor
  }

  /// Writes a plain stream with the device state and the pages of `carried` to `target`.
  ///
  /// - Returns: the capabilities that QEMU must have for it.
  func writeStream(
    to target: File, carrying carried: Set<String>, _ cancellation: Cancellation
  ) throws(ImageError) -> [String] {
    let stream = try PlainStreamWriter(image, in: file, carrying: carried)
    _ = try stream.write(to: target, cancellation: cancellation)
    return stream.configuration.capabilities
  }
}
