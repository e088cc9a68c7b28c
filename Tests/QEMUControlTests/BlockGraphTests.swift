import MappedRAMFormat
import TestSupport
import Testing

@testable import QEMUControl

/// What a QEMU tells of its block layer: since 10.1, before, and one that tells less than any.
@Suite struct BlockGraphTests {
  private static func node(
    _ name: String, _ driver: String, _ file: String, isEncrypted: Bool = false
  ) -> JSONValue {
    [
      "node-name": .string(name), "drv": .string(driver), "file": .string(file),
      "encrypted": .bool(isEncrypted),
    ]
  }

  /// A filter over an overlay in clear whose backing file is encrypted; a disk that is encrypted two nodes below, by Ceph; an
  /// encrypted one that nobody uses.
  private static let nodes: [JSONValue] = [
    node("t", "throttle", "json:{}"), node("q", "qcow2", "/q"), node("f", "file", "/q"),
    node("b", "qcow2", "/b", isEncrypted: true), node("raw", "raw", "json:{}"),
    node("c", "copy-on-read", "json:{}"),
    [
      "node-name": "ceph", "drv": "rbd", "file": "rbd:x", "encrypted": false,
      "image": ["format-specific": ["type": "rbd", "data": ["encryption-format": "luks2"]]],
    ], node("other", "luks", "json:{}"), node("m", "mirror_top", "/q"),
  ]

  private static let edges = [
    ("t", "file", "q"), ("q", "file", "f"), ("q", "backing", "b"), ("raw", "file", "c"),
    ("c", "file", "ceph"), ("m", "backing", "t"),
  ]

  /// How much QEMU tells.
  enum Kind: CaseIterable, Sendable { case children, debugCommand, neither }

  private func with(_ kind: Kind, _ look: @escaping (BlockGraph) throws -> Void) throws {
    try withConnection { qemu throws in
      var nodes = Self.nodes
      if kind == .children {
        nodes = nodes.map { node in
          let children = Self.edges.filter { node["node-name"] == .string($0.0) }
            .map { ["child": .string($0.1), "node-name": .string($0.2)] as JSONValue }
          guard case .object(let members) = node else { return node }
          return .object(
            members + [JSONValue.Member(name: "children", value: .array(children))])
        }
      }
      try qemu.answer(.array(nodes))
      if kind == .debugCommand { try qemu.answer(Self.graph) }
      if kind == .neither, let request = try qemu.request() {
        qemu.send(FakeQEMU.failure("CommandNotFound", "no", to: request))
      }
    } client: { connection throws in
      try look(BlockGraph(asking: connection))
    }
  }

  /// A device called as a node is has an edge as well.
  private static var graph: JSONValue {
    let names = nodes.map { $0["node-name"] ?? .null }
    let number: (String) -> JSONValue = { name in
      .integer(Int64(names.firstIndex(of: .string(name)) ?? 0))
    }
    let devices: [JSONValue] = [["id": 100, "type": "block-backend", "name": "q"]]
    return [
      "nodes": .array(
        names.enumerated().map {
          ["id": .integer(Int64($0.offset)), "type": "block-driver", "name": $0.element]
        } + devices),
      "edges": .array(
        [["parent": 100, "name": "root", "child": number("ceph")]]
          + edges.map {
            ["parent": number($0.0), "name": .string($0.1), "child": number($0.2)]
          }),
    ]
  }

  private func medium(_ node: String, _ driver: String) -> Disk.Medium {
    Disk.Medium(
      node: node, file: "json:{}", driver: driver, isReadOnly: false, isActive: true)
  }

  @Test(arguments: [Kind.children, .debugCommand])
  func wayOfWhatIsWritten(kind: Kind) throws {
    try with(kind) { graph in
      for (name, isEncrypted) in [
        ("t", false), ("q", false), ("b", true), ("raw", true), ("m", false), ("other", true),
      ] {
        #expect(graph.isEncrypted(name) == isEncrypted, "\(name)")
      }
      for (name, driver) in [("t", "throttle"), ("m", "mirror_top"), ("q", "qcow2")] {
        let found = try #require(graph.withoutFilters(medium(name, driver)))
        #expect(found.driver == "qcow2" && found.node == name)
        #expect(found.file == (name == "q" ? "json:{}" : "/q"))
      }
    }
  }

  /// Then the worst is taken for true.
  @Test func nothingIsKnownOfWhatNodesStandOn() throws {
    try with(.neither) { graph in
      #expect(graph.isEncrypted("f"))
      #expect(graph.withoutFilters(medium("t", "throttle")) == nil)
      #expect(graph.withoutFilters(medium("q", "qcow2")) == medium("q", "qcow2"))
    }
  }

  /// No QEMU says so; but it ends.
  @Test func aCircleOfFilters() {
    let nodes = ["a", "b"].map { name in
      BlockNode(
        name: name, driver: "throttle", files: ["x"], isEncrypted: false,
        children: [BlockNode.Child(role: "file", node: name == "a" ? "b" : "a")])
    }
    #expect(BlockGraph(nodes).withoutFilters(medium("a", "throttle")) == nil)
    #expect(!BlockGraph(nodes).isEncrypted("a"))
  }
}
