import MappedRAM
import MappedRAMFormat

extension ImageRemark {
  /// The remark as a sentence.
  var sentence: String {
    switch self {
    case .strayBits(let idstr, let count):
      "The bitmap of RAMBlock \"\(idstr)\" has \(NumberText.count(count, "bit")) set past the last page; readers "
        + "ignore \(count == 1 ? "it" : "them")."
    case .bytesAfterEnd(let count):
      "\(NumberText.exactBytes(count.rawValue)) follow the end of the stream; readers ignore them."
    case .noDescription:
      "There is no JSON description of the device state, so devices cannot be decoded; the image loads all the same."
    case .noFooters:
      "Sections have no footers."
    case .libvirtFormat(let format):
      "libvirt's header calls the payload \(format), but it is a mapped-ram stream; libvirt will not restore it."
    }
  }
}
