#!/usr/bin/env python3
"""Reads a mapped-ram image and prints what is in it as JSON. An independent check on the Swift code: written from
the notes on the format alone, slow and simple, and it does read every page slot. What stands behind the stream is
checked too: all checksums, and the sums of all contents (by libxxhash).

  read_image.py [--offset N] [--no-hash] IMAGE

Status 1 and one line on stderr where the image breaks a rule of the format.
"""
import ctypes
import hashlib
import json
import os
import re
import struct
import sys

START, PART, END, FULL, SUBSECTION, DESCRIPTION, CONFIGURATION, COMMAND = range(1, 9)
FOOTER = 0x7E
COMMANDS = {3: (0, 16), 11: (0,)}  # those that may be in a file, and their lengths
NAMES = {START: "start", PART: "part", END: "end", FULL: "full", COMMAND: "command"}
SUFFIX = {"configuration/target-page-bits", "configuration/capabilities", "configuration/uuid"}


class Bad(Exception):
    """The image breaks a rule."""


class Reader:
    def __init__(self, file, at=0):
        self.file, self.at = file, at
        self.size = os.fstat(file.fileno()).st_size

    def take(self, count):
        data = os.pread(self.file.fileno(), count, self.at)
        if len(data) != count:
            raise Bad(f"truncated at {self.at:#x}: {count} bytes needed, {len(data)} there")
        self.at += count
        return data

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def u8(self):
        return self.number(">B")

    def u32(self):
        return self.number(">I")

    def u64(self):
        return self.number(">Q")

    def name(self):
        return self.take(self.u8()).decode("latin-1")

    def peek(self, count):
        return os.pread(self.file.fileno(), count, self.at)


def need(condition, message):
    if not condition:
        raise Bad(message)


def libvirt_header(r):
    """The 92-byte header and the data area of `virsh save`, or None. Leaves the reader at the stream."""
    magic = r.peek(16)
    if magic[:12] != b"LibvirtQemud":
        return None
    need(magic == b"LibvirtQemudSave", f"libvirt magic {magic!r}: incomplete or unknown")
    raw = r.take(92)
    for order in "<>":
        version, length, running, form, cookie = struct.unpack(order + "5I", raw[16:36])
        if version <= 2:
            break
    need(version in (1, 2), f"libvirt header version {version}")
    need(length > 0 and 92 + length <= r.size, f"libvirt data area of {length} bytes")
    need(form == 6, f"libvirt format {form} is not sparse")
    need(cookie < length, f"libvirt cookie at {cookie}, data area of {length}")
    area = r.take(length)
    need(b"\0" in area, "libvirt XML is not terminated")
    xml = area[:cookie or length].split(b"\0")[0]
    text = area[cookie:].split(b"\0")[0] if cookie else b""
    return {"byteOrder": "little" if order == "<" else "big", "version": version, "dataLength": length,
            "wasRunning": running, "format": form, "cookieOffset": cookie, "xmlLength": len(xml),
            "cookieLength": len(text), "xmlSHA256": hashlib.sha256(xml).hexdigest()}


def configuration(r):
    need(r.u8() == CONFIGURATION, "no CONFIGURATION section")
    length = r.u32()
    need(length <= 255, f"machine type of {length} bytes")
    out = {"machine": r.take(length).decode("latin-1"), "capabilities": [], "targetPageBits": None, "uuid": None}
    while r.peek(1) == bytes([SUBSECTION]) and r.peek(15)[2:] == b"configuration":
        r.take(1)
        name = r.name()
        need(name in SUFFIX, f"configuration subsection {name}")
        need(r.u32() == 1, f"version of {name}")
        if name.endswith("bits"):
            out["targetPageBits"] = r.u32()
        elif name.endswith("uuid"):
            out["uuid"] = r.take(16).hex()
        else:
            out["capabilities"] = [r.name() for _ in range(r.u32())]
    need("mapped-ram" in out["capabilities"], "not a mapped-ram image")
    return out


def block(r, ignoreShared, hashing, left):
    start = r.at
    out = {"idstr": r.name(), "offset": start, "usedLength": r.u64()}
    name, used = out["idstr"], out["usedLength"]
    need(name, "empty idstr")
    if ignoreShared:
        out["address"] = r.u64()
    header = r.at
    version, page, bitmap, pages = struct.unpack(">IQQQ", r.take(28))
    out.update(headerOffset=header, pageSize=page, bitmapOffset=bitmap, pagesOffset=pages)
    need(version == 1, f"{name}: header version {version}")
    need(512 <= page <= 1 << 24 and page & (page - 1) == 0, f"{name}: page size {page}")
    need(used > 0 and used % page == 0, f"{name}: used length {used:#x}")
    need(used <= left, f"{name}: used length {used:#x}, but {left:#x} are left of the total")
    out["ignored"] = ignoreShared and bitmap == 0 and pages == 0
    out["pages"] = used // page
    if out["ignored"]:
        return out
    size = 8 * ((out["pages"] + 63) // 64)
    need(bitmap == r.at, f"{name}: bitmap at {bitmap:#x}, header ends at {r.at:#x}")
    need(pages >= bitmap + size, f"{name}: pages at {pages:#x} inside the bitmap")
    need(pages % page == 0, f"{name}: pages at {pages:#x} not aligned")
    bits = int.from_bytes(r.take(size), "little")
    bits &= (1 << out["pages"]) - 1
    need(pages + bits.bit_length() * page <= r.size, f"{name}: a page past the end of the file")
    need(pages + used <= r.size, f"{name}: pages region ends past the end of the file")
    out["present"] = bits.bit_count()
    if hashing:
        out["stale"], digest, zero = 0, hashlib.sha256(), bytes(page)
        for i in range(out["pages"]):
            slot = os.pread(r.file.fileno(), page, pages + i * page)
            if bits >> i & 1:
                digest.update(slot)
            else:
                digest.update(zero)
                out["stale"] += slot != zero
        out["sha256"] = digest.hexdigest()
    r.at = pages + used
    return out


def block_list(r, ignoreShared, hashing):
    word = r.u64()
    need(word & 0x3FF == 0x004, f"first word of RAM {word:#x}")
    total, blocks = word & ~0x3FF, []
    need(total, "RAM of no bytes")
    left = total
    while left:
        blocks.append(block(r, ignoreShared, hashing, left))
        left -= blocks[-1]["usedLength"]
    names = [each["idstr"] for each in blocks]
    need(len(set(names)) == len(names), "an idstr twice")
    need(len({each["pageSize"] for each in blocks}) == 1, "page sizes differ")
    return total, blocks


def body_length(entry):
    """Bytes of one vmstate by its JSON description: its fields, then its subsections."""
    total = sum(field["size"] * field.get("array_len", 1) for field in entry.get("fields", []))
    for sub in entry.get("subsections", []):
        total += 6 + len(sub["vmsd_name"]) + body_length(sub)
    return total


def description(r):
    """The JSON text after the EOF byte, found from the end of the file; (offset of its section, object)."""
    back = min(r.size, 16 << 20)
    tail = os.pread(r.file.fileno(), back, r.size - back)
    at = tail.rfind(b"\0")
    for i in range(at, max(at - 6, -1), -1):
        if tail[i] == DESCRIPTION and i + 5 <= len(tail):
            length = struct.unpack(">I", tail[i + 1:i + 5])[0]
            if i + 5 + length == len(tail):
                return r.size - back + i, json.loads(tail[i + 5:])
    return None, None


def skip_body(r, id, length):
    """Moves past a body: by its length, or by search for its footer."""
    if length is not None:
        r.at += length
        return
    rest = r.peek(1 << 24)
    mark, at = bytes([FOOTER]) + struct.pack(">I", id), -1
    while True:
        at = rest.find(mark, at + 1)
        need(at >= 0, f"section {id} at {r.at:#x}: no footer")
        if at + 5 < len(rest) and rest[at + 5] in (0, PART, END, FULL, START, COMMAND):
            r.at += at
            return


def sections(r, out, hashing):
    ignoreShared = "x-ignore-shared" in out["capabilities"]
    at, json_object = description(r)
    if json_object:
        out["pageSizeOfDescription"] = json_object["page_size"]
    devices = {(d["name"], d["instance_id"]): d for d in (json_object or {}).get("devices", [])}
    known, ended, out["sections"] = {}, False, []
    while True:
        start, kind = r.at, r.u8()
        if kind == 0:
            break
        need(kind in NAMES, f"section type {kind:#x} at {start:#x}")
        entry = {"type": NAMES[kind], "offset": start}
        out["sections"].append(entry)
        if kind == COMMAND:
            entry["command"], length = r.number(">H"), r.number(">H")
            need(length in COMMANDS.get(entry["command"], ()), f"command {entry['command']} of {length} bytes")
            r.take(length)
            continue
        entry["id"] = r.u32()
        if kind in (START, FULL):
            entry.update(idstr=r.name(), instance=r.u32(), version=r.u32())
            known[entry["id"]] = entry["idstr"]
        need(entry["id"] in known, f"section {entry['id']} was not started")
        body = r.at
        if known[entry["id"]] == "ram":
            if kind == START:
                need((entry["version"], entry["instance"]) == (4, 0) and "blocks" not in out, "RAM section header")
                out["total"], out["blocks"] = block_list(r, ignoreShared, hashing)
            ended |= kind == END
            need(r.u64() & 0x3FF == 0x010, f"no end word in the RAM section at {start:#x}")
        else:
            found = devices.get((entry["idstr"], entry["instance"])) if kind == FULL else None
            skip_body(r, entry["id"], found and found.get("size", None) or found and body_length(found))
            entry["bodyLength"] = r.at - body
        need(r.u8() == FOOTER and r.u32() == entry["id"], f"footer of the section at {start:#x}")
    need("blocks" in out, "no RAM section")
    if json_object:
        sizes = {each["pageSize"] for each in out["blocks"]}
        need(sizes == {json_object["page_size"]}, "page size differs from the description's")
    out["complete"], out["eofOffset"], out["descriptionOffset"] = ended, r.at - 1, None
    if r.peek(1)[:r.size - r.at] and r.peek(4) != b"MRAM":
        need(r.u8() == DESCRIPTION, f"no description at {r.at - 1:#x}")
        length = r.u32()
        out["descriptionOffset"], out["descriptionLength"] = r.at - 5, length
        json.loads(r.take(length))
    out["endOffset"] = r.at


class XXH128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def sum_of(data):
    """XXH3 of 128 bits, seed 0, canonical."""
    if not hasattr(sum_of, "call"):
        sum_of.call = ctypes.CDLL("libxxhash.so.0").XXH3_128bits
        sum_of.call.restype, sum_of.call.argtypes = XXH128, [ctypes.c_char_p, ctypes.c_size_t]
    found = sum_of.call(data, len(data))
    return struct.pack(">QQ", found.high, found.low)


def crc32c(data):
    if not hasattr(crc32c, "table"):
        crc32c.table = []
        for value in range(256):
            for _ in range(8):
                value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
            crc32c.table.append(value)
    state = 0xFFFFFFFF
    for byte in data:
        state = crc32c.table[(state ^ byte) & 0xFF] ^ state >> 8
    return state ^ 0xFFFFFFFF


def line(r):
    """Where the last line of the file says that the areas begin, or None."""
    found = re.fullmatch(rb"\nmapped-ram areas ([0-9a-f]{16})\n", os.pread(r.file.fileno(), 35, max(r.size - 35, 0)))
    return int(found[1], 16) if found else None


def area_header(r):
    start, head = r.at, r.take(64)
    need(head[:4] == b"MRAM" and re.fullmatch(rb"[A-Z0-9]{4}", head[4:8]), f"no magic of an area at {start:#x}")
    version, checksum, own, length, table, size, table_sum, flags, reserved = struct.unpack(">IIQQQQIIQ", head[8:])
    need(checksum == crc32c(head[:12] + bytes(4) + head[16:]), f"checksum of the area's header at {start:#x}")
    need(own == start and length >= 64 and start + length <= r.size, f"place of the area at {start:#x}")
    need(start + 64 <= table and table + size <= start + length, f"table of the area at {start:#x}")
    need(flags in (0, 1) and reserved == 0, f"flags of the area at {start:#x}")
    entry = {"kind": head[4:8].decode(), "version": version, "offset": start, "length": length, "needed": bool(flags),
             "tableOffset": table, "tableLength": size}
    known = (entry["kind"], version) in (("DEVS", 1), ("SUMS", 1))
    need(known or not flags, f"area {entry['kind']} of version {version} is needed, and unknown")
    r.at = start + length
    if known:
        need(crc32c(os.pread(r.file.fileno(), size, table)) == table_sum, f"checksum of the table of {entry['kind']}")
    return entry


def areas(r, first):
    """The headers of the areas from `first` on, and where what closes them begins; leaves the reader behind all."""
    r.at, found = first, []
    while r.peek(4) == b"MRAM":
        found.append(area_header(r))
    need(found and len(found) <= 64, "no areas, or too many")
    need(len({each["kind"] for each in found}) == len(found), "two areas of a kind")
    closing, text = r.at, None
    if r.peek(1) == bytes([DESCRIPTION]):
        r.take(1)
        text = r.take(r.u32())
    need(r.take(35) == b"\nmapped-ram areas %016x\n" % first, f"what closes the areas at {closing:#x}")
    return {"list": found, "closingOffset": closing, "endOffset": r.at}, text


def area_table(r, out, kind):
    for entry in out["areas"]["list"]:
        if entry["kind"] == kind and entry["version"] == 1:
            r.at = entry["tableOffset"]
            return entry
    return None


def device_area(r, out):
    """The devices of DEVS, each buffer with its sum."""
    entry = area_table(r, out, "DEVS")
    if not entry:
        return []
    count, total, places, devices = r.u32(), r.u32(), [], []
    need(1 <= count <= 1024 and total <= 1 << 20, "counts of DEVS")
    for _ in range(count):
        device = {"idstr": r.name(), "instance": r.u32()}
        buffers, size, device["buffers"] = r.u32(), r.u64(), []
        need(buffers >= 1, "a device without buffers")
        for expected in range(buffers):
            number, flags, offset, length, digest = struct.unpack(">IIQQ16s", r.take(40))
            need(number == expected and flags <= 3 and bool(flags & 1) == (number == buffers - 1), "buffer's number")
            need(length <= 1 << 24, "a buffer is too long")
            need(sum_of(os.pread(r.file.fileno(), length, offset)) == digest, f"sum of the buffer at {offset:#x}")
            places.append((offset, offset + length))
            device["buffers"].append({"length": length, "configuration": bool(flags & 2), "sum": digest.hex()})
        need(sum(each["length"] for each in device["buffers"]) == size, "bytes of a device")
        devices.append(device)
    need(sum(len(device["buffers"]) for device in devices) == total, "buffers of DEVS")
    need(r.at == entry["offset"] + entry["length"] == entry["tableOffset"] + entry["tableLength"], "end of DEVS")
    end = entry["offset"] + 64
    for start, stop in sorted(places):
        need(start >= end and stop <= entry["tableOffset"], "places of buffers")
        end = stop
    names = [(device["idstr"], device["instance"]) for device in devices]
    need(len(set(names)) == len(names), "a device twice")
    return devices


def chunk_sums(r, block):
    """For each chunk (number, its sum, whether a page of it is present, whether all is zero)."""
    page, zero = block["pageSize"], sum_of(bytes(block["pageSize"]))
    bits = int.from_bytes(os.pread(r.file.fileno(), 8 * ((block["pages"] + 63) // 64), block["bitmapOffset"]), "little")
    step, out = max(65536 // page, 1), []
    for first in range(0, block["pages"], step):
        leaves, present = [], False
        for i in range(first, min(first + step, block["pages"])):
            here = bits >> i & 1
            present |= bool(here)
            leaves.append(sum_of(os.pread(r.file.fileno(), page, block["pagesOffset"] + i * page)) if here else zero)
        out.append((first // step, sum_of(b"".join(leaves)), present, all(leaf == zero for leaf in leaves)))
    return out


def body_of(section):
    """Where the body of a FULL section begins."""
    return section["offset"] + 1 + 4 + 1 + len(section["idstr"]) + 8


def spans_of(out):
    """The parts of the stream that have a sum of their own."""
    found, start = [], out["streamOffset"]
    for block in out["blocks"]:
        if not block["ignored"]:
            found.append((start, block["bitmapOffset"]))
            start = block["pagesOffset"] + block["usedLength"]
    for section in out["sections"]:
        if section["type"] == "full" and section["offset"] >= start:
            if start < section["offset"]:
                found.append((start, section["offset"]))
            start = body_of(section) + section["bodyLength"] + 5
            found.append((section["offset"], start))
    if start < out["endOffset"]:
        found.append((start, out["endOffset"]))
    return found


def short(name):
    return bytes([len(name)]) + name.encode("latin-1")


def sums_area(r, out, devices):
    """Checks SUMS against all that is in the image; the root as text."""
    entry = area_table(r, out, "SUMS")
    if not entry:
        return None
    start = r.at
    algorithm, chunk, place, length, root, blocks, spans = struct.unpack(">IIQQ16sII", r.take(48))
    need(algorithm == 1 and chunk == 65536, "algorithm of SUMS")
    need(entry["offset"] + 64 <= place and place + length <= entry["tableOffset"], "place of the entries")
    here = [block for block in out["blocks"] if not block["ignored"]]
    need(blocks == len(here), "blocks of SUMS")
    contents = {block["idstr"]: bytes(16) for block in out["blocks"]}
    for block in here:
        name, where = block["idstr"], r.at
        need((r.name(), r.u64(), r.u32(), r.u64(), r.u64()) == (name, block["usedLength"], block["pageSize"],
             block["bitmapOffset"], block["pagesOffset"]), f"block of SUMS at {where:#x}")
        count, bitmap_sum, entries_sum = struct.unpack(">Q16s16s", r.take(40))
        size = 8 * ((block["pages"] + 63) // 64)
        need(sum_of(os.pread(r.file.fileno(), size, block["bitmapOffset"])) == bitmap_sum, f"{name}: sum of the bitmap")
        chunks = chunk_sums(r, block)
        wanted = b"".join(digest for _, digest, present, _ in chunks if present)
        stored = os.pread(r.file.fileno(), 16 * count, place)
        place += 16 * count
        need(len(wanted) == 16 * count and sum_of(stored) == entries_sum, f"{name}: entries")
        need(stored == wanted, f"{name}: sums of chunks")
        contents[name] = sum_of(b"".join(struct.pack(">Q", number) + digest
                                         for number, digest, _, zero in chunks if not zero))
    found = []
    for _ in range(spans):
        first, size, digest = struct.unpack(">QQ16s", r.take(32))
        need(sum_of(os.pread(r.file.fileno(), size, first)) == digest, f"sum of the span at {first:#x}")
        found.append((first, first + size))
    need(found == spans_of(out), "spans of SUMS")
    need(r.at == start + entry["tableLength"], "end of SUMS")
    text = out["machine"].encode("latin-1") + b"\0" + struct.pack(">I", len(out["blocks"]))
    for block in sorted(out["blocks"], key=lambda block: block["idstr"].encode("latin-1")):
        text += short(block["idstr"]) + struct.pack(">QIB", block["usedLength"], block["pageSize"], block["ignored"])
        text += contents[block["idstr"]]
    full = [section for section in out["sections"] if section["type"] == "full"]
    text += struct.pack(">I", len(full))
    for section in full:
        body = os.pread(r.file.fileno(), section["bodyLength"], body_of(section))
        text += short(section["idstr"]) + struct.pack(">IIQ", section["instance"], section["version"], len(body))
        text += sum_of(body)
    text += struct.pack(">I", len(devices))
    for device in devices:
        text += short(device["idstr"]) + struct.pack(">II", device["instance"], len(device["buffers"]))
        for each in device["buffers"]:
            text += struct.pack(">QB", each["length"], each["configuration"]) + bytes.fromhex(each["sum"])
    need(sum_of(text) == root, "root of SUMS")
    return "xxh3-128:" + root.hex()


def behind(r, out, first, hashing):
    """What stands behind the stream, which ends where the reader is."""
    end, out["areas"] = r.at, None
    r.size = out["fileSize"]
    if first is None and r.peek(4) != b"MRAM"[:len(r.peek(4))]:
        return
    if first is None and not r.peek(1):
        return
    need(first in (None, end), f"the areas begin at {first or 0:#x}, the stream ends at {end:#x}")
    out["areas"], text = areas(r, end)
    if out["descriptionOffset"] is None:
        need(text is None, "a copy of a description that the stream does not have")
    else:
        own = os.pread(r.file.fileno(), out["descriptionLength"], out["descriptionOffset"] + 5)
        need(text is not None and text.startswith(own) and not text[len(own):].strip(b" "), "copy of the description")
    if hashing:
        devices = device_area(r, out)
        out["areas"]["devices"] = [{**device, "buffers": len(device["buffers"])} for device in devices]
        out["areas"]["root"] = sums_area(r, out, devices)


def read(path, offset=0, hashing=True, out=None):
    """What is in the image at `path`, as a dictionary. `out` keeps what was read where Bad is raised."""
    out = {} if out is None else out
    with open(path, "rb") as file:
        r = Reader(file, offset)
        out.update(fileSize=r.size, libvirt=libvirt_header(r))
        out["streamOffset"] = r.at
        need(r.u32() == 0x5145564D, "bad magic")
        need(r.u32() == 3, "bad stream version")
        first = line(r)
        if first is not None:
            need(r.at <= first < r.size, "the areas are not behind the stream")
            r.size = first
        out.update(configuration(r))
        sections(r, out, hashing)
        need(out["complete"], "incomplete: no END section of RAM")
        behind(r, out, first, hashing)
    return out


def main(arguments):
    offset, hashing = 0, True
    while arguments and arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option == "--offset":
            offset = int(arguments.pop(0), 0)
        elif option == "--no-hash":
            hashing = False
    try:
        print(json.dumps(read(arguments[0], offset, hashing), indent=1, sort_keys=True))
    except (Bad, OSError, ValueError) as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
