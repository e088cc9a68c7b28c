#!/usr/bin/env python3
"""Reads a mapped-ram image and prints what is in it as JSON. An independent check on the Swift code: written from
the notes on the format alone, slow and simple, and it does read every page slot.

  read_image.py [--offset N] [--no-hash] IMAGE

Status 1 and one line on stderr where the image breaks a rule of the format.
"""
import hashlib
import json
import os
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
    need(word & 0xFFF == 0x004, f"first word of RAM {word:#x}")
    total, blocks = word & ~0xFFF, []
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
            need(r.u64() & 0xFFF == 0x010, f"no end word in the RAM section at {start:#x}")
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
    if r.at < r.size:
        need(r.u8() == DESCRIPTION, f"no description at {r.at - 1:#x}")
        length = r.u32()
        out["descriptionOffset"], out["descriptionLength"] = r.at - 5, length
        json.loads(r.take(length))
    out["endOffset"] = r.at
    need(ended, "incomplete: no END section of RAM")


def read(path, offset=0, hashing=True, out=None):
    """What is in the image at `path`, as a dictionary. `out` keeps what was read where Bad is raised."""
    out = {} if out is None else out
    with open(path, "rb") as file:
        r = Reader(file, offset)
        out.update(fileSize=r.size, libvirt=libvirt_header(r))
        out["streamOffset"] = r.at
        need(r.u32() == 0x5145564D, "bad magic")
        need(r.u32() == 3, "bad stream version")
        out.update(configuration(r))
        sections(r, out, hashing)
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
