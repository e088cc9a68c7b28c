extension FormatError: CustomStringConvertible {
  /// One sentence on what was found and expected, with the place, and another on what to do where that is known.
  public var description: String {
    "\(context) at \(offset): \(kind)"
  }
}

extension FormatError.Context: CustomStringConvertible {
  /// The structure, as it begins a message.
  public var description: String {
    switch self {
    case .streamHeader: "stream header"
    case .configuration: "CONFIGURATION section"
    case .sectionHeader: "section header"
    case .section(let idstr): "section \(quoted(idstr))"
    case .command: "COMMAND"
    case .ramBlockList: "block list"
    case .ramBlock(let idstr): "RAMBlock \(quoted(idstr))"
    case .mappedRAMHeader(let idstr): "mapped-ram header of RAMBlock \(quoted(idstr))"
    case .pageBitmap(let idstr): "page bitmap of RAMBlock \(quoted(idstr))"
    case .pages(let idstr): "pages of RAMBlock \(quoted(idstr))"
    case .endOfStream: "end of the stream"
    case .description: "JSON device description"
    case .libvirtHeader: "libvirt header"
    case .libvirtData: "libvirt data area"
    case .areas: "area behind the stream"
    case .area(.devices): "area of device states"
    case .area(.facts): "area of facts"
    case .area(.sums): "area of checksums"
    case .area(let kind): "area of kind \(quoted(kind.name))"
    case .device(let identity): "state of device \(quoted(identity.description))"
    }
  }
}

extension FormatError.Kind: CustomStringConvertible {
  /// What was found, what was expected, what to do; without the place.
  public var description: String {
    switch self {
    // Anything
    case .truncated(let needed, let available):
      "\(needed == 1 ? "1 byte is" : "\(needed) bytes are") needed and the file has \(available) more. "
        + "It is cut off."
    case .overLimit(let limit, let found, let maximum):
      "\(limit) is \(found), over the limit of \(maximum)."
    case .numberOverflow: "a sum of the numbers here leaves 64 bits."
    case .nameEmpty: "the name is empty."
    case .nameNotPrintable(let bytes):
      "the name has bytes that are not printable ASCII: \(hex(bytes.prefix(16)))."
    // The stream's head
    case .notAStream(let found, let foreign?):
      "expected the magic \"QEVM\", found \(hex(found)): this looks like \(foreign.rawValue)."
    case .notAStream(let found, nil):
      "expected the magic \"QEVM\", found \(hex(found)). This is no QEMU migration stream, or the stream "
        + "begins later in the file."
    case .unsupportedStreamVersion(let found):
      found == 2
        ? "version 2 is obsolete; QEMU reads only version 3."
        : "version \(found) is unknown; expected 3."
    case .missingConfiguration(let found):
      "expected the CONFIGURATION section (0x07), found \(hex([found]))."
    case .unknownConfigurationSubsection(let name):
      "unknown subsection \(quoted(name))."
    case .unsupportedSubsectionVersion(let found):
      "subsection version \(found) is unknown; expected 1."
    case .targetPageBits(let found):
      "\(found) page bits; expected 10 to 16."
    case .uuidLength(let found):
      "the UUID has \(found) bytes; expected 16."
    case .notMappedRAM:
      "the capability \"mapped-ram\" is not in the configuration. This is a plain migration stream, whose pages "
        + "have no fixed place; save it again with the capability on."
    case .notPlain:
      "the capability \"mapped-ram\" is in the configuration. This is an image, whose pages have fixed places; expected a plain "
        + "migration stream."
    // Sections
    case .unknownSectionType(let byte):
      "\(hex([byte])) is no section type."
    case .misplacedSection(let type):
      "a \(type.name) cannot stand here."
    case .unknownCommand(let code):
      "command \(code) is unknown; expected 1 to 11."
    case .commandLength(let code, let found, let expected):
      "\(code.name) has \(found) bytes of data; expected \(list(expected))."
    case .missingFooter(let found):
      "expected the section's footer (0x7e), found \(hex([found]))."
    case .footerMismatch(let found, let expected):
      "the footer has section id \(found); expected \(expected)."
    case .unknownSectionID(let id):
      "section id \(id) was not started before."
    case .sectionLengthUnknown(let search):
      "the end of the section cannot be found: \(search)"
    case .missingRAMSection:
      "the stream ends without a section of RAM."
    case .ramSectionTwice:
      "RAM is started a second time."
    case .ramSectionVersion(let found):
      "version \(found) of the RAM section is unknown; expected 4."
    case .ramSectionInstance(let found):
      "the RAM section has instance id \(found); expected 0."
    // The block list
    case .ramFlags(let found):
      "a word with flags \(hexNumber(found)); a mapped-ram file has only MEM_SIZE (0x4) and EOS (0x10)."
    case .secondBlockList:
      "a second block list; QEMU writes one, and images in layers are not supported."
    case .duplicateBlock:
      "the block is listed a second time."
    case .usedLengthZero:
      "the used length is 0."
    case .usedLengthUnaligned(let found, let pageSize):
      "the used length \(hexNumber(found)) is no multiple of the page size \(pageSize)."
    case .totalMismatch(let sum, let total):
      "the used lengths add up to \(hexNumber(sum.rawValue)); the list's total is \(hexNumber(total.rawValue))."
    case .mappedRAMVersion(let found):
      "version \(found) is unknown; expected 1."
    case .pageSize(let found):
      "the page size is \(found); expected a power of two from 1024 to 65536."
    case .pageSizeDiffers(let found, let expected):
      "the page size is \(found); expected \(expected), as elsewhere in this image."
    case .bitmapOffset(let found, let expected):
      "the bitmap is said to be at \(found); expected \(expected), the end of this header."
    case .pagesUnaligned(let found, let alignment):
      "the pages are said to begin at \(found), no multiple of the page size \(alignment)."
    case .pagesBeforeBitmapEnd(let found, let bitmapEnd):
      "the pages are said to begin at \(found), before the bitmap's end at \(bitmapEnd)."
    case .pastEndOfFile(let end, let fileSize):
      "it ends at \(end), past the end of the file at \(fileSize). The file is cut off or the number is wrong."
    case .ignoredBlockWithoutCapability:
      "the block has no place in the file, and \"x-ignore-shared\" is not in the configuration."
    // Records of pages
    case .ramRecordFlags(let found):
      "a record with flags \(hexNumber(found)); expected PAGE (0x8), ZERO (0x2), EOS (0x10) or MULTIFD_FLUSH (0x200)."
    case .ramFillByte(let found):
      "a page is filled with \(hex([found])); only zero pages are written so."
    case .recordWithoutBlock:
      "the first page has no name of a RAMBlock."
    case .unlistedBlock:
      "a page of this block, which is not in the block list."
    case .pageOutsideBlock(let offset, let usedLength):
      "a page at \(hexNumber(offset)) of a block of \(hexNumber(usedLength.rawValue)) bytes."
    // The end
    case .incompleteSave:
      "there is no END section of RAM, so the save was broken off or made by background-snapshot, and the bitmaps "
        + "mean nothing. Save the VM again."
    case .missingEndOfStream:
      "the stream stops without its EOF byte. The file is cut off."
    case .description(let problem):
      "the text is not JSON: \(problem)."
    case .descriptionShape(let path, let expected):
      "\(path) is not \(expected)."
    case .descriptionElsewhere(let found, let expected):
      "by the lengths of \(Self.description(at: expected)) the stream leads to "
        + "\(Self.description(at: found)). They contradict each other."
    // libvirt's container
    case .libvirtIncomplete:
      "the magic is \"LibvirtQemudPart\": libvirt did not finish this save. Save the domain again."
    case .libvirtVersion(let found):
      "version \(found) is unknown; expected 1 or 2."
    case .libvirtFormat(let found):
      "payload format \(found) is unknown; expected 0 to 6."
    case .libvirtDataLength(let found):
      "the data area has \(found) bytes; expected at least 1."
    case .libvirtCookieOffset(let found, let dataLength):
      "the cookie is said to be at \(found) of a data area of \(dataLength) bytes."
    case .libvirtTextNotTerminated:
      "the text has no terminating zero."
    // What stands behind the stream
    case .area(let problem): problem.description
    case .deviceArea(let problem): problem.description
    case .facts(let problem): problem.description
    case .sums(let problem): problem.description
    }
  }

  private static func description(at offset: FileOffset?) -> String {
    offset.map { "the description at \($0)" } ?? "no description"
  }
}

extension FormatError.SectionSearch: CustomStringConvertible {
  /// Why there is no end, and what that may mean.
  public var description: String {
    switch self {
    case .endOfFile:
      "no footer follows up to the end of the file, and there is no JSON description. The file is probably cut off."
    case .description:
      "the description does not list it and no footer follows."
    case .limit(let limit):
      "no footer follows in \(limit) bytes, and no more are searched for a section that no JSON description lists."
    }
  }
}

extension FormatError.Limit: CustomStringConvertible {
  /// The thing that has a limit, as it begins a message.
  public var description: String {
    switch self {
    case .nameBytes: "the length of the name"
    case .blocks: "the number of RAMBlocks"
    case .ramBytes: "the size of RAM in bytes"
    case .capabilities: "the number of capabilities"
    case .descriptionBytes: "the length of the text"
    case .descriptionValues: "the number of values"
    case .sections: "the number of sections"
    case .preambleBytes: "the length of what stands before RAM"
    case .libvirtDataBytes: "the length of the data area"
    case .devices: "the number of devices"
    case .deviceBuffers: "the number of buffers"
    case .deviceBufferBytes: "the length of the buffer"
    case .spans: "the number of spans"
    case .areaTableBytes: "the length of the area's table"
    case .factsBytes: "the length of the facts"
    }
  }
}

func quoted(_ name: String) -> String {
  "\"" + name.unicodeScalars.map { $0.escaped(asASCII: true) }.joined() + "\""
}

func hexNumber(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

func hex(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { ($0 < 16 ? "0x0" : "0x") + String($0, radix: 16) }.joined(separator: " ")
}

private func list(_ numbers: [Int]) -> String {
  numbers.map(String.init).joined(separator: " or ")
}
