import LinuxIO
import LinuxProcesses

extension RunningVM {
  /// The processes that may be QEMU, the likeliest first: the one that the processors' threads belong to, and the one that made the
  /// socket. Nobody has verified them yet: see `objection(to:)`.
  public var possibleProcesses: [Int32] {
    let owner = processorThreads.first.flatMap { ProcessOwner.ofThread($0) }
    var found: [Int32] = []
    for candidate in [owner, peerProcessID] {
      if let candidate, !found.contains(candidate) { found.append(candidate) }
    }
    return found
  }

  /// Why the process cannot be what is at the other end, as far as users go; `nil` if it can be. QEMU tells its threads by itself, and one
  /// that an attacker controls may tell anybody's.
  ///
  /// A socket of root's may have been made for a QEMU of another user (libvirt does so), or by QEMU before it became one (`-run-with
  /// user=`); any other socket is QEMU's own.
  func objection(to processID: Int32) -> CaptureObstacle? {
    guard peerUserID != 0, let userID = ProcessOwner.user(of: processID)?.userID,
      userID != peerUserID
    else { return nil }
    return .foreignProcess(processID, userID: userID, peerUserID: peerUserID)
  }
}
