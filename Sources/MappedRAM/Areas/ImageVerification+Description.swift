public import MappedRAMFormat

extension ImageVerification.Damage {
  /// Where it is, if that is a part of the file.
  public var place: Range<FileOffset>? {
    switch self {
    case .structure, .foreignSums: nil
    case .pages(_, _, let place), .bitmap(_, let place), .entries(_, let place),
      .span(_, let place), .buffer(_, _, let place):
      place
    }
  }
}

extension ImageVerification.Damage: CustomStringConvertible {
  /// What is damaged and where.
  public var description: String {
    let placeText = place.map { "\($0.lowerBound) to \($0.upperBound) of the file" } ?? ""
    return switch self {
    case .structure(let error): error.description
    case .pages(let idstr, let pages, _):
      "RAMBlock \"\(idstr)\": pages \(Self.hex(pages.lowerBound)) to \(Self.hex(pages.upperBound - 1)), \(placeText)"
    case .bitmap(let idstr, _):
      "RAMBlock \"\(idstr)\": page bitmap, \(placeText); its pages cannot be checked"
    case .entries(let idstr, _):
      "RAMBlock \"\(idstr)\": checksums, \(placeText); its pages cannot be checked"
    case .span(let device?, _): "state of device \"\(device)\", \(placeText)"
    case .span(nil, _): "stream (headers, or what is between devices), \(placeText)"
    case .buffer(let device, let number, _):
      "state of device \"\(device)\" behind the stream: buffer \(number), \(placeText)"
    case .foreignSums: "the checksums are of another image: they do not cover what is in this one"
    }
  }

  private static func hex(_ number: Int) -> String { "0x" + String(number, radix: 16) }
}

extension Image {
  /// The device whose section stands just in `range`.
  func device(in range: Range<FileOffset>) -> String? {
    sections.first {
      $0.type == .full && range.contains($0.offset)
        && $0.offset + $0.byteCount == range.upperBound
    }?.identity.map { DeviceIdentity($0).description }
  }
}
