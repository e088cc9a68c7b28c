import MappedRAMFormat
public import QMP

extension QMPCommand<[Disk]> {
  /// `query-block`: the disks and drives.
  public static var queryBlock: Self {
    Self("query-block") { answer throws(QMPError) in
      try answer.map { drive throws(QMPError) in
        Disk(
          drive: try drive.optional("device")?.string().nonEmpty,
          device: try drive.optional("qdev")?.string().nonEmpty,
          isRemovable: try drive.optional("removable")?.bool() ?? false,
          medium: try drive.optional("inserted").map(Disk.Medium.init))
      }
    }
  }
}

extension QMPCommand<[BlockNode]> {
  /// `query-named-block-nodes`: all nodes of the block layer, whoever uses them.
  package static var queryBlockNodes: Self {
    Self("query-named-block-nodes", ["flat": true]) { answer throws(QMPError) in
      try answer.map { node throws(QMPError) in
        let names = [
          node.optional("file"), node.optional("backing_file"),
          node.optional("image")?.optional("filename"),
        ].compactMap { $0 }
        return BlockNode(
          name: try node.optional("node-name")?.string() ?? "",
          driver: try node.optional("drv")?.string() ?? "",
          files: try names.map { name throws(QMPError) in try name.string() },
          isEncrypted: try node.isEncryptedNode(),
          children: try node.optional("children")?.map { child throws(QMPError) in
            BlockNode.Child(
              role: try child.member("child").string(),
              node: try child.member("node-name").string())
          })
      }
    }
  }
}

extension QMPCommand<[String: [BlockNode.Child]]> {
  /// `x-debug-query-block-graph` (QEMU 4.0): what each node of the block layer stands on.
  package static var queryBlockGraph: Self {
    Self("x-debug-query-block-graph") { answer throws(QMPError) in
      var names: [UInt64: String] = [:]
      for node in try answer.member("nodes").elements()
      where try node.member("type").string() == "block-driver" {
        names[try node.member("id").unsigned()] = try node.member("name").string()
      }
      var children: [String: [BlockNode.Child]] = [:]
      for edge in try answer.member("edges").elements() {
        let child = try edge.member("child").unsigned()
        // Disks and jobs stand on nodes as well.
        guard let parent = names[try edge.member("parent").unsigned()] else { continue }
        guard let child = names[child] else { throw edge.unexpected("an edge to a node") }
        let role = try edge.member("name").string()
        children[parent, default: []].append(BlockNode.Child(role: role, node: child))
      }
      return children
    }
  }
}

extension QMPAnswer {
  /// Whether this node, as `query-block` or `query-named-block-nodes` shows it, encrypts what is written through it.
  fileprivate func isEncryptedNode() throws(QMPError) -> Bool {
    // A node of the driver luks says nothing of itself where it was made by -drive.
    if try optional("drv")?.string() == "luks" { return true }
    let image = optional("image")
    // One of Ceph has it of its own.
    if image?.optional("format-specific")?.optional("data")?.optional("encryption-format") != nil {
      return true
    }
    let words = [optional("encrypted"), image?.optional("encrypted")].compactMap { $0 }
    return try words.map { word throws(QMPError) in try word.bool() }.contains(true)
  }
}

extension Disk.Medium {
  fileprivate init(_ inserted: QMPAnswer) throws(QMPError) {
    node = try inserted.optional("node-name")?.string()
    file = try inserted.member("file").string()
    driver = try inserted.member("drv").string()
    isReadOnly = try inserted.member("ro").bool()
    isActive = try inserted.optional("active")?.bool() ?? true
    isEncrypted = try inserted.isEncryptedNode()
    let image = inserted.optional("image")
    virtualByteCount = try image?.optional("virtual-size")?.unsigned()
    var below = image?.optional("backing-image")
    while let image = below {
      backingFiles.append(try image.member("filename").string())
      below = image.optional("backing-image")
    }
    let details = image?.optional("format-specific")?.optional("data")
    isWrittenWhenClosed =
      try details?.optional("lazy-refcounts")?.bool() ?? false
      || details?.optional("bitmaps") != nil
    hasDataFile = details?.optional("data-file") != nil
  }
}

extension String {
  /// The string, or `nil` if it has no characters.
  fileprivate var nonEmpty: String? { isEmpty ? nil : self }
}

extension QMPCommand<Void> {
  /// `transaction` of `blockdev-snapshot-sync`: each disk is written to in a new overlay file from then on, all at the
  /// same moment or none. The files are there, each an overlay of what its node has.
  public static func snapshot(_ disks: [DiskSnapshot]) -> Self {
    let actions = disks.map { disk -> JSONValue in
      [
        "type": "blockdev-snapshot-sync",
        "data": [
          "node-name": .string(disk.node), "snapshot-file": .string(disk.file),
          "snapshot-node-name": .string(disk.newNode), "format": .string(disk.format),
          "mode": "existing",
        ],
      ]
    }
    return Self("transaction", ["actions": .array(actions)], timeout: .seconds(120))
  }

  /// `blockdev-create`: the job `job` makes the empty file `file`, for QEMU to write a format into.
  static func createFile(_ file: String, job: String) -> Self {
    Self(
      "blockdev-create",
      [
        "job-id": .string(job),
        "options": ["driver": "file", "filename": .string(file), "size": 0],
      ])
  }

  /// `blockdev-create`: the job `job` makes `file`, which is there, a qcow2 overlay of `byteCount` bytes of `backing`.
  static func createOverlay(
    _ file: String, of backing: String, format: String, byteCount: Int64, job: String
  ) -> Self {
    Self(
      "blockdev-create",
      [
        "job-id": .string(job),
        "options": [
          "driver": "qcow2", "file": ["driver": "file", "filename": .string(file)],
          "size": .integer(byteCount), "backing-file": .string(backing),
          "backing-fmt": .string(format),
        ],
      ])
  }

  /// `job-dismiss`: forgets a job that is concluded.
  static func dismiss(job: String) -> Self { Self("job-dismiss", ["id": .string(job)]) }

  /// `block-commit`: the job `job`, which must be a new name, merges the disk whose topmost node
  /// is `device` down into the node `baseNode`, or with `nil` into the lowest.
  public static func blockCommit(job: String, device: String, baseNode: String?) -> Self {
    Self(
      "block-commit",
      .members([
        "job-id": .string(job), "device": .string(device),
        "base-node": baseNode.map(JSONValue.string),
      ]))
  }

  /// `block-job-complete`: ends a job that is ready.
  public static func blockJobComplete(_ job: String) -> Self {
    Self("block-job-complete", ["device": .string(job)])
  }

  /// `blockdev-set-active` (QEMU 10.0): gives up or takes back the file of `node`, or with `nil`
  /// those of all nodes.
  public static func blockdevSetActive(_ isActive: Bool, node: String? = nil) -> Self {
    Self(
      "blockdev-set-active",
      .members(["active": .bool(isActive), "node-name": node.map(JSONValue.string)]))
  }
}

/// The snapshot of one disk.
public struct DiskSnapshot: Equatable, Sendable {
  /// The node that the disk shows now, and that becomes the overlay's backing file.
  public var node: String
  /// The new file, as QEMU sees paths.
  public var file: String
  /// The overlay's node; it must be new, and of at most 31 characters.
  public var newNode: String
  /// The overlay's format.
  public var format: String

  /// An overlay `file` for `node`.
  package init(node: String, file: String, newNode: String, format: String = "qcow2") {
    self.node = node
    self.file = file
    self.newNode = newNode
    self.format = format
  }
}

extension QMPCommand<[BlockJob]> {
  /// `query-block-jobs`.
  public static var queryBlockJobs: Self {
    Self("query-block-jobs") { answer throws(QMPError) in
      try answer.map { job throws(QMPError) in
        BlockJob(
          id: try job.member("device").string(), kind: try job.member("type").string(),
          isReady: try job.optional("ready")?.bool() ?? false,
          offset: try job.member("offset").unsigned(), length: try job.member("len").unsigned())
      }
    }
  }
}

extension QMPCommand<[Job]> {
  /// `query-jobs`.
  package static var queryJobs: Self {
    Self("query-jobs") { answer throws(QMPError) in
      try answer.map { job throws(QMPError) -> Job in
        Job(
          id: try job.member("id").string(), kind: try job.member("type").string(),
          isConcluded: try job.member("status").string() == "concluded",
          failure: try job.optional("error")?.string())
      }
    }
  }
}

/// A job that QEMU has begun, and has not been told to forget.
package struct Job: Equatable, Sendable {
  package var id: String
  /// Its kind: `create`, `commit`, …
  package var kind: String
  /// Whether it has ended.
  package var isConcluded: Bool
  /// Why it failed, in QEMU's words.
  package var failure: String?
}

/// A job that works on disks.
public struct BlockJob: Equatable, Sendable {
  /// Its id.
  public var id: String
  /// Its kind: `commit`, `mirror`, …
  public var kind: String
  /// Whether it waits for `block-job-complete`.
  public var isReady: Bool
  /// Work done, in a unit of the job's own.
  public var offset: UInt64
  /// Work in all, in the same unit.
  public var length: UInt64
}
