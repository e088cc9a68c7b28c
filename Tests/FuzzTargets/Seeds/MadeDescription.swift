/// Small descriptions, each with the bytes of a device that it has.
enum MadeDescription {
  static var seeds: [FuzzSeed] {
    [
      FuzzSeed("empty", Array(#"{"devices": []}"#.utf8)),
      FuzzSeed("fields", described(fields, state: fieldBytes)),
      FuzzSeed("nested", described(nested, state: nestedBytes)),
      FuzzSeed("opaque", described(opaque, state: [1, 2, 3, 4])),
      FuzzSeed("configuration", described(#""devices": []"#, state: [], configuration)),
    ]
  }

  private static func described(
    _ devices: String, state: [UInt8], _ others: String = #""page_size": 4096, "#
  ) -> [UInt8] {
    Array("{\(others)\(devices)}".utf8) + [0] + state
  }

  private static let configuration = """
    "configuration": {"vmsd_name": "configuration", "version": 1, "fields": [\
    {"name": "len", "type": "uint32", "size": 4}], "subsections": []}, \
    "x-mapped-ram": {"absent-slots": "zero"}, "x": [1.5e3, -0.25, null, true, "\\u00e9\\ud83d\\ude00\\n"], 
    """

  private static let fields = """
    "devices": [{"name": "a", "instance_id": 4294967295, "vmsd_name": "a/b", "version": 3, "fields": [\
    {"name": "u", "type": "uint32", "size": 4}, {"name": "i", "type": "int32 le", "size": 4}, \
    {"name": "b", "type": "bool", "size": 1}, {"name": "n", "type": "nullptr", "size": 1}, \
    {"name": "c", "type": "buffer", "size": 3}, \
    {"name": "r", "array_len": 2, "type": "uint16", "size": 2}, \
    {"name": "e", "index": 0, "type": "uint8", "size": 1}, \
    {"name": "e", "index": 1, "type": "uint64", "size": 8}]}]
    """

  private static let fieldBytes: [UInt8] =
    [0, 0, 0, 5, 0xFF, 0xFF, 0xFF, 0xFE, 1, 0x30, 0x61, 0x62, 0x63, 1, 2, 3, 4, 9]
    + [1, 2, 3, 4, 5, 6, 7, 8]

  private static let nested = """
    "devices": [{"name": "l", "instance_id": 0, "vmsd_name": "l", "version": 1, "fields": [\
    {"name": "s", "type": "struct", "struct": {"vmsd_name": "t", "version": 1, "fields": [\
    {"name": "x", "type": "uint16", "size": 2}]}, "size": 2}, \
    {"name": "q", "type": "qtailq", "vmsd_name": "e", "version": 1, "fields": [\
    {"name": "v", "type": "uint8", "size": 1}], "vmsd_name": "e", "version": 1, "fields": [\
    {"name": "v", "type": "uint8", "size": 1}], "size": 5}, \
    {"name": "z", "type": "struct", "struct": {}, "size": 1}], \
    "subsections": [{"vmsd_name": "l/s", "version": 2, "fields": [\
    {"name": "y", "type": "uint8", "size": 1}]}]}]
    """

  private static let nestedBytes: [UInt8] =
    [1, 2, 1, 7, 1, 8, 0, 0x30, 5, 3, 0x6C, 0x2F, 0x73, 0, 0, 0, 2, 9]

  private static let opaque = """
    "devices": [{"name": "o", "instance_id": 1, "size": 4, "fields": [\
    {"name": "data", "size": 4, "type": "buffer"}]}]
    """
}
