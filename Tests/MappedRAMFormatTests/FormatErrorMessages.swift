import MappedRAMFormat

extension FormatErrorDescriptionTests {
  /// The whole message of every kind.
  static let messages: [(FormatError.Kind, String)] =
    headMessages + sectionMessages + blockMessages + recordMessages + endMessages

  private static let headMessages: [(FormatError.Kind, String)] = [
    (
      .truncated(needed: 8, available: 3),
      "8 bytes are needed and the file has 3 more. It is cut off."
    ),
    (
      .truncated(needed: 1, available: 0),
      "1 byte is needed and the file has 0 more. It is cut off."
    ),
    (.numberOverflow, "a sum of the numbers here leaves 64 bits."),
    (.nameEmpty, "the name is empty."),
    (
      .nameNotPrintable([0x61, 0x00, 0xFF]),
      "the name has bytes that are not printable ASCII: 0x61 0x00 0xff."
    ),
    (
      .nameNotPrintable(Array(repeating: 1, count: 255)),
      "the name has bytes that are not printable ASCII: 0x01 0x01 0x01 0x01 0x01 0x01 0x01 0x01 0x01 0x01 0x01 "
        + "0x01 0x01 0x01 0x01 0x01."
    ),
    (
      .notAStream(found: [0x1F, 0x8B, 8, 0], looksLike: .gzip),
      "expected the magic \"QEVM\", found 0x1f 0x8b 0x08 0x00: this looks like gzip data."
    ),
    (
      .notAStream(found: [1, 2, 3, 4], looksLike: nil),
      "expected the magic \"QEVM\", found 0x01 0x02 0x03 0x04. This is no QEMU migration stream, or the stream "
        + "begins later in the file."
    ),
    (
      .unsupportedStreamVersion(found: 2), "version 2 is obsolete; QEMU reads only version 3."
    ),
    (.unsupportedStreamVersion(found: 4), "version 4 is unknown; expected 3."),
    (
      .missingConfiguration(found: 1), "expected the CONFIGURATION section (0x07), found 0x01."
    ),
    (
      .unknownConfigurationSubsection("configuration/x"),
      "unknown subsection \"configuration/x\"."
    ),
    (.unsupportedSubsectionVersion(found: 2), "subsection version 2 is unknown; expected 1."),
    (.targetPageBits(found: 9), "9 page bits; expected 10 to 16."),
    (.uuidLength(found: 15), "the UUID has 15 bytes; expected 16."),
    (
      .notMappedRAM,
      "the capability \"mapped-ram\" is not in the configuration. This is a plain migration stream, whose pages "
        + "have no fixed place; save it again with the capability on."
    ),
    (
      .notPlain,
      "the capability \"mapped-ram\" is in the configuration. This is an image, whose pages have fixed places; expected a plain "
        + "migration stream."
    ),
  ]

  private static let sectionMessages: [(FormatError.Kind, String)] = [
    (.unknownSectionType(9), "0x09 is no section type."),
    (.misplacedSection(.footer), "a FOOTER cannot stand here."),
    (.unknownCommand(12), "command 12 is unknown; expected 1 to 11."),
    (
      .commandLength(.postcopyAdvise, found: 5, expected: [0, 16]),
      "POSTCOPY_ADVISE has 5 bytes of data; expected 0 or 16."
    ),
    (.missingFooter(found: 0), "expected the section's footer (0x7e), found 0x00."),
    (.footerMismatch(found: 7, expected: 1), "the footer has section id 7; expected 1."),
    (.unknownSectionID(9), "section id 9 was not started before."),
    (
      .sectionLengthUnknown(.description),
      "the end of the section cannot be found: the description does not list it and no footer follows."
    ),
    (
      .sectionLengthUnknown(.endOfFile),
      "the end of the section cannot be found: no footer follows up to the end of the file, and there is no JSON "
        + "description. The file is probably cut off."
    ),
    (
      .sectionLengthUnknown(.limit(268_435_456)),
      "the end of the section cannot be found: no footer follows in 268435456 bytes, and no more are searched for a "
        + "section that no JSON description lists."
    ),
    (.missingRAMSection, "the stream ends without a section of RAM."),
    (.ramSectionTwice, "RAM is started a second time."),
    (.ramSectionVersion(found: 3), "version 3 of the RAM section is unknown; expected 4."),
    (.ramSectionInstance(found: 1), "the RAM section has instance id 1; expected 0."),
  ]

  private static let blockMessages: [(FormatError.Kind, String)] = [
    (
      .ramFlags(found: 0x108),
      "a word with flags 0x108; a mapped-ram file has only MEM_SIZE (0x4) and EOS (0x10)."
    ),
    (
      .secondBlockList,
      "a second block list; QEMU writes one, and images in layers are not supported."
    ),
    (.duplicateBlock, "the block is listed a second time."),
    (.usedLengthZero, "the used length is 0."),
    (
      .usedLengthUnaligned(found: 0x1001, pageSize: .fourKiB),
      "the used length 0x1001 is no multiple of the page size 4096."
    ),
    (
      .totalMismatch(sum: 0x2000, total: 0x1000),
      "the used lengths add up to 0x2000; the list's total is 0x1000."
    ),
    (.mappedRAMVersion(found: 2), "version 2 is unknown; expected 1."),
    (.pageSize(found: 0), "the page size is 0; expected a power of two from 1024 to 65536."),
    (
      .pageSizeDiffers(found: .fourKiB, expected: .fourKiB),
      "the page size is 4096; expected 4096, as elsewhere in this image."
    ),
    (
      .bitmapOffset(found: 0x10, expected: 0x8B),
      "the bitmap is said to be at 0x10; expected 0x8b, the end of this header."
    ),
    (
      .pagesUnaligned(found: 0x1001, alignment: .fourKiB),
      "the pages are said to begin at 0x1001, no multiple of the page size 4096."
    ),
    (
      .pagesBeforeBitmapEnd(found: 0x80, bitmapEnd: 0x90),
      "the pages are said to begin at 0x80, before the bitmap's end at 0x90."
    ),
    (
      .pastEndOfFile(end: 0x2000, fileSize: 0x1000),
      "it ends at 0x2000, past the end of the file at 0x1000. The file is cut off or the number is wrong."
    ),
    (
      .ignoredBlockWithoutCapability,
      "the block has no place in the file, and \"x-ignore-shared\" is not in the configuration."
    ),
  ]

  private static let recordMessages: [(FormatError.Kind, String)] = [
    (
      .ramRecordFlags(found: 0x40),
      "a record with flags 0x40; expected PAGE (0x8), ZERO (0x2), EOS (0x10) or MULTIFD_FLUSH (0x200)."
    ),
    (.ramFillByte(found: 0xEE), "a page is filled with 0xee; only zero pages are written so."),
    (.recordWithoutBlock, "the first page has no name of a RAMBlock."),
    (.unlistedBlock, "a page of this block, which is not in the block list."),
    (
      .pageOutsideBlock(offset: 0x2000, usedLength: 0x1000),
      "a page at 0x2000 of a block of 0x1000 bytes."
    ),
  ]

  private static let endMessages: [(FormatError.Kind, String)] = [
    (
      .incompleteSave,
      "there is no END section of RAM, so the save was broken off or made by background-snapshot, and the bitmaps "
        + "mean nothing. Save the VM again."
    ),
    (.missingEndOfStream, "the stream stops without its EOF byte. The file is cut off."),
    (
      .descriptionShape(path: "devices[3].size", expected: "an integer from 0 to 2^64 - 1"),
      "devices[3].size is not an integer from 0 to 2^64 - 1."
    ),
    (
      .descriptionElsewhere(found: nil, expected: 0x400),
      "by the lengths of the description at 0x400 the stream leads to no description. They contradict "
        + "each other."
    ),
    (
      .libvirtIncomplete,
      "the magic is \"LibvirtQemudPart\": libvirt did not finish this save. Save the domain again."
    ),
    (.libvirtVersion(found: 3), "version 3 is unknown; expected 1 or 2."),
    (.libvirtFormat(found: 7), "payload format 7 is unknown; expected 0 to 6."),
    (.libvirtDataLength(found: 0), "the data area has 0 bytes; expected at least 1."),
    (
      .libvirtCookieOffset(found: 9, dataLength: 8),
      "the cookie is said to be at 9 of a data area of 8 bytes."
    ),
    (.libvirtTextNotTerminated, "the text has no terminating zero."),
  ]
}
