import MappedRAMFormat
import QMP

/// A node of QEMU's block layer: a format, a filter, or what reads and writes a file.
package struct BlockNode: Equatable, Sendable {
  package var name: String
  /// What it is: `qcow2`, `throttle`, `file`, …
  package var driver: String
  /// The files that it names: its own first, and the one below it. Some are texts that begin with `json:`; the node below then has
  /// the file.
  package var files: [String]
  /// Whether it encrypts what is written through it.
  package var isEncrypted: Bool
  /// The nodes that it stands on; `nil` where QEMU does not tell (before 10.1).
  package var children: [Child]?

  /// A node that another one stands on.
  package struct Child: Equatable, Sendable {
    /// What it is for: `file`, `backing`, …
    package var role: String
    /// Its name.
    package var node: String
  }

  /// The drivers of filters that pass everything on to the one node below (QEMU 10.0.2 and 11.1, `is_filter` in block/*.c), but those
  /// for debugging and those that compare or divide, which have names of their own.
  private static let filters: Set<String> = [
    "commit_top", "compress", "copy-before-write", "copy-on-read", "mirror_top", "preallocate",
    "throttle",
  ]

  /// Whether it is such a filter, and no format: it does not tell a file's format.
  var isFilter: Bool { Self.filters.contains(driver) }
}

/// The nodes of QEMU's block layer, and what each stands on.
struct BlockGraph {
  private var nodes: [String: BlockNode] = [:]

  /// The graph of these nodes.
  init(_ nodes: [BlockNode]) {
    for node in nodes { self.nodes[node.name] = node }
  }

  /// Asks QEMU.
  ///
  /// Before 10.1 only a command that is meant for debugging tells what the nodes stand on; where a QEMU does not have it, that is
  /// not known.
  init(asking connection: QMPConnection) throws(QMPError) {
    self.init(try connection.execute(.queryBlockNodes))
    guard nodes.values.contains(where: { $0.children == nil }) else { return }
    let children: [String: [BlockNode.Child]]
    do throws(QMPError) {
      children = try connection.execute(.queryBlockGraph)
    } catch .refused {
      return
    }
    for name in nodes.keys { nodes[name]?.children = children[name] ?? [] }
  }

  /// Whether something encrypts what is written to the node `name` on its way to where it is kept.
  ///
  /// A backing file says nothing of that: it is not written to. Where it is not known what a node stands on, every node counts.
  func isEncrypted(_ name: String) -> Bool {
    var isKnown = Set([name])
    var rest = [name]
    while let next = rest.popLast() {
      guard let node = nodes[next], let children = node.children else {
        return nodes.values.contains(where: \.isEncrypted)
      }
      if node.isEncrypted { return true }
      // A filter may have what it passes on as its backing, and nothing else.
      let isOverlay = children.contains { $0.role == "file" }
      for child in children where !(isOverlay && child.role == "backing") {
        if isKnown.insert(child.node).inserted { rest.append(child.node) }
      }
    }
    return false
  }

  /// `medium` without the filters on top of it: the file and the format that who opens it again needs.
  ///
  /// Its node stays. `nil` where it is not known what a filter stands on.
  func withoutFilters(_ medium: Disk.Medium) -> Disk.Medium? {
    guard var node = medium.node.flatMap({ nodes[$0] }) else { return medium }
    var found = medium
    // A graph has no circles; an answer might.
    for _ in 0..<nodes.count where node.isFilter {
      let below = node.children?.first { $0.role == "file" || $0.role == "backing" }
      guard let next = below.flatMap({ nodes[$0.node] }), let file = next.files.first else {
        return nil
      }
      (found.file, found.driver) = (file, next.driver)
      node = next
    }
    return node.isFilter ? nil : found
  }
}
