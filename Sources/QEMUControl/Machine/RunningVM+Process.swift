import LinuxIO

extension RunningVM {
  /// The processes that may be QEMU, the likeliest first: the one that the processors' threads belong to, and the one that made the
  /// socket.
  public var possibleProcesses: [Int32] {
    let owner = processorThreads.first.flatMap { ProcessOwner.ofThread($0) }
    var found: [Int32] = []
    for candidate in [owner, peerProcessID] {
      if let candidate, !found.contains(candidate) { found.append(candidate) }
    }
    return found
  }
}
