"""Images that the QEMU of today cannot write, made from ones that it can."""
import json
import os
import struct

import read_image

MiB = 1 << 20


def string(text):
    return bytes([len(text)]) + text.encode()


def copy(input, at, count, out, to):
    """Copies bytes, holes stay holes."""
    for block in range(0, count, 4096):
        data = os.pread(input.fileno(), min(4096, count - block), at + block)
        if any(data):
            os.pwrite(out.fileno(), data, to + block)


def huge_pages(source, target):
    """The image `source` in the layout 2M: the pages of blocks of 2 MiB and more at the next multiple of 2 MiB, all others of 1 MiB."""
    found = read_image.read(source, hashing=False)
    with open(source, "rb") as input, open(target, "wb") as out:
        first = found["blocks"][0]
        # What is before the block list, and of each block all but the place of its pages, is as it was.
        old = first["bitmapOffset"] - 28 - 8 - 1 - len(first["idstr"])
        at = os.pwrite(out.fileno(), os.pread(input.fileno(), old, 0), 0)
        for block in found["blocks"]:
            head = os.pread(input.fileno(), block["bitmapOffset"] - old - 16, old)
            size = 8 * ((block["pages"] + 63) // 64)
            bitmap = at + len(head) + 16
            multiple = 2 * MiB if block["usedLength"] >= 2 * MiB else MiB
            pages = (bitmap + size + multiple - 1) // multiple * multiple
            os.pwrite(out.fileno(), head + struct.pack(">QQ", bitmap, pages), at)
            copy(input, block["bitmapOffset"], size, out, bitmap)
            copy(input, block["pagesOffset"], block["usedLength"], out, pages)
            at = pages + block["usedLength"]
            old = block["pagesOffset"] + block["usedLength"]
        os.pwrite(out.fileno(), os.pread(input.fileno(), os.path.getsize(source) - old, old), at)


def ignore_shared(source, target, addresses, ignored):
    """The mapped-ram image `source` as QEMU 11.0 writes it with x-ignore-shared on: both capabilities in the
    configuration, be64 address after each used length (from `addresses`, else 0), bitmap and pages offset 0 for the
    blocks in `ignored`, whose pages are left out. Written from the notes on QEMU 11.0's form, not by QEMU."""
    found = read_image.read(source, hashing=False)
    with open(source, "rb") as input, open(target, "wb") as out:
        machine = found["machine"].encode()
        head = struct.pack(">IIBI", 0x5145564D, 3, 7, len(machine)) + machine
        head += b"\5" + string("configuration/capabilities") + struct.pack(">II", 1, 2)
        head += string("x-ignore-shared") + string("mapped-ram")
        start = found["sections"][0]
        head += struct.pack(">BI", 1, start["id"]) + string("ram") + struct.pack(">II", 0, 4)
        head += struct.pack(">Q", found["total"] | 4)
        at = os.pwrite(out.fileno(), head, 0)
        for block in found["blocks"]:
            name, used = block["idstr"], block["usedLength"]
            entry = string(name) + struct.pack(">QQ", used, addresses.get(name, 0))
            if name in ignored:
                at += os.pwrite(out.fileno(), entry + struct.pack(">IQQQ", 1, block["pageSize"], 0, 0), at)
                continue
            bitmap = at + len(entry) + 28
            size = 8 * ((block["pages"] + 63) // 64)
            pages = (bitmap + size + MiB - 1) // MiB * MiB
            os.pwrite(out.fileno(), entry + struct.pack(">IQQQ", 1, block["pageSize"], bitmap, pages), at)
            copy(input, block["bitmapOffset"], size, out, bitmap)
            copy(input, block["pagesOffset"], used, out, pages)
            at = pages + used
        # From the end of the block list on all is as it was, but for the description of the configuration.
        last = found["blocks"][-1]
        tail = last["pagesOffset"] + last["usedLength"]
        rest = os.pread(input.fileno(), found["descriptionOffset"] - tail, tail)
        text = os.pread(input.fileno(), found["descriptionLength"], found["descriptionOffset"] + 5)
        description = json.loads(text)
        for sub in description["configuration"]["subsections"]:
            for field in sub["fields"]:
                if field["type"] == "capability":
                    field.update(array_len=2, size=16)
        text = json.dumps(description).encode()
        os.pwrite(out.fileno(), rest + struct.pack(">BI", 6, len(text)) + text, at)


def libvirt_header(xml, cookie, room, running=0, magic=b"LibvirtQemudSave"):
    """libvirt's 92-byte header (version 2, sparse) and its data area with `room` bytes to spare."""
    area = xml + b"\0" + (cookie + b"\0" if cookie else b"") + bytes(room)
    return magic + struct.pack("<5I56x", 2, len(area), running, 6, len(xml) + 1 if cookie else 0) + area
