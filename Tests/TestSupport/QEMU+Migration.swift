package import SystemPackage

extension QEMU {
  /// How QEMU is to save to or load from a file.
  package struct FileMigration: Sendable {
    /// Whether `mapped-ram` is on.
    package var isMapped = true
    /// The number of multifd channels; nil without multifd.
    package var channels: Int?
    /// The parameter `direct-io`.
    package var isDirect = false
    /// Where the stream begins in the file.
    package var offset: UInt64 = 0
    /// `none`, `legacy` or `multifd`; nil for QEMU's default.
    package var zeroPageDetection: String?
    /// Whether the guest runs while it is saved. Otherwise it is stopped before and stays so.
    package var isLive = false
    /// Bytes per second; 0 for no limit.
    package var maxBandwidth: UInt64 = 0
    /// More capabilities to switch on.
    package var capabilities: [String] = []

    /// Mapped, without limit, of a stopped guest.
    package init(
      channels: Int? = nil, isDirect: Bool = false, offset: UInt64 = 0,
      zeroPageDetection: String? = nil
    ) {
      self.channels = channels
      self.isDirect = isDirect
      self.offset = offset
      self.zeroPageDetection = zeroPageDetection
    }
  }

  /// Lets QEMU save into `path` and waits until it is done.
  package func save(to path: FilePath, _ how: FileMigration = FileMigration()) throws {
    try prepare(how)
    if !how.isLive { try stop() }
    try startSave(to: path, how)
    try waitForMigration()
  }

  /// Starts a save whose capabilities and parameters `prepare` has set. Does not wait.
  package func startSave(to path: FilePath, _ how: FileMigration = FileMigration()) throws {
    try execute("migrate", ["uri": uri(path, how)])
  }

  /// Lets a QEMU started with `incoming` load `path` and waits until it is done. Does not resume.
  package func load(from path: FilePath, _ how: FileMigration = FileMigration()) throws {
    try prepare(how)
    try execute("migrate-incoming", ["uri": uri(path, how), "exit-on-error": false])
    try waitForMigration()
  }

  /// Sets the capabilities and parameters of `how`.
  package func prepare(_ how: FileMigration) throws {
    var names = how.capabilities
    if how.isMapped { names.append("mapped-ram") }
    if how.channels != nil { names.append("multifd") }
    let states = names.map { name -> [String: Any] in ["capability": name, "state": true] }
    try execute("migrate-set-capabilities", ["capabilities": states])
    var parameters: [String: Any] = ["max-bandwidth": how.maxBandwidth]
    if let channels = how.channels { parameters["multifd-channels"] = channels }
    if how.isDirect { parameters["direct-io"] = true }
    if let detection = how.zeroPageDetection { parameters["zero-page-detection"] = detection }
    try execute("migrate-set-parameters", parameters)
  }

  /// Waits for `completed`, and until the VM can go on: QEMU says the one before the other.
  /// - Throws: `HarnessError` with QEMU's description where the migration failed.
  package func waitForMigration(seconds: Double = 120) throws {
    try wait(for: "the migration to complete", seconds: seconds) {
      let answer = try execute("query-migrate") as? [String: Any] ?? [:]
      switch answer["status"] as? String {
      case "completed": return try status() != "finish-migrate"
      case "failed", "cancelled":
        throw HarnessError("the migration failed: \(answer["error-desc"] ?? ""); \(log)")
      default: return false
      }
    }
  }

  private func uri(_ path: FilePath, _ how: FileMigration) -> String {
    "file:\(path)" + (how.offset == 0 ? "" : ",offset=\(how.offset)")
  }
}
