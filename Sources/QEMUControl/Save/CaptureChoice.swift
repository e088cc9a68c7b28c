/// Whether a VM can be captured, with what is needed for it.
enum CaptureChoice {
  case possible(GuestMemory, GuestPlatform)
  case impossible([CaptureObstacle])

  /// Looks at the VM, whose memory can or cannot be got at.
  init(_ vm: RunningVM, memory: Result<GuestMemory, CaptureObstacle>) {
    var obstacles = vm.obstacles
    let platform = GuestPlatform(architecture: vm.target, machineType: vm.machineType)
    if platform == nil {
      obstacles.append(.unknownPlatform(target: vm.target, machineType: vm.machineType))
    }
    switch memory {
    case .failure(let obstacle): obstacles.append(obstacle)
    case .success(let memory):
      if let platform, obstacles.isEmpty {
        self = .possible(memory, platform)
        return
      }
    }
    self = .impossible(obstacles)
  }

  /// What is in the way.
  var obstacles: [CaptureObstacle] {
    if case .impossible(let obstacles) = self { obstacles } else { [] }
  }
}
