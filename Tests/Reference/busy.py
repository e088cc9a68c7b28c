"""VMs with the guest of Tests/Guest/busy.asm, which changes memory all the time. Standard library only."""
import os
import re
import struct
import time

GUEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Guest", "busy.bin")
PARAMETERS = ("area", "area_end", "mask", "seed", "words", "zeros", "ticks", "burst")
GENERATION, CURSOR = 0x7FE4, 0x7FE8
MIB = 1 << 20


def firmware(path, **parameters):
    """Writes the guest to `path` as a firmware, with its parameters set."""
    rom = bytearray(open(GUEST, "rb").read())
    for i, name in enumerate(PARAMETERS):
        if name in parameters:
            struct.pack_into("<I", rom, 0x3C0 + 4 * i, parameters.pop(name))
    assert not parameters, parameters
    with open(path, "wb") as file:
        file.write(rom)


def ticks_of_a_page(rate):
    """The ticks of the time-stamp counter, which TCG takes from this processor, in which a page is due at `rate` MiB a second."""
    with open("/proc/cpuinfo") as file:
        megahertz = float(re.search(r"cpu MHz\s*: ([\d.]+)", file.read()).group(1))
    return int(megahertz * 1e6 * 4096 / (rate * MIB))


def writer(path, memory, area, rate):
    """Rewrites whole pages of the last `area` MiB of `memory`, `rate` MiB of them in a second; one in eight to zero, by turns."""
    end = memory * MIB
    firmware(path, area=end - area * MIB, area_end=end, seed=0x5EED, ticks=ticks_of_a_page(rate))


def toucher(path, memory):
    """Changes one word in each page of nearly all of `memory`, as quickly as it can: the rest is a pattern of 1 MiB."""
    firmware(path, area=2 * MIB, area_end=memory * MIB, seed=0x5EED, words=1, zeros=0xFFFFFFFF, burst=8)


def machine(bios, memory, shared=False):
    """The arguments of the VM."""
    backend = f"memory-backend-{'memfd,share=on' if shared else 'ram'},id=main,size={memory}M"
    return ["-bios", bios, "-m", f"{memory}M", "-object", backend, "-machine", "q35,memory-backend=main"]


def lines(serial):
    """What the guest has printed so far, as (count, sum); the last line may not be whole yet."""
    with open(serial, "rb") as file:
        return parsed(file.read())


def parsed(text):
    """The whole lines of `text`, as (count, sum)."""
    return [tuple(int(field, 16) for field in line.split()) for line in text.split(b"\n")[:-1]]


def wait_for_lines(serial, count, seconds=60):
    """Until `count` lines have been printed."""
    end = time.monotonic() + seconds
    while True:
        with open(serial, "rb") as file:
            if file.read().count(b"\n") >= count:
                return
        if time.monotonic() > end:
            raise TimeoutError(f"{serial}: the guest prints nothing")
        time.sleep(0.005)


def word(qemu, address):
    """A word of guest-physical memory."""
    text = qemu.command("human-monitor-command", command_line=f"xp /1wx {address:#x}")
    return int(text.split(":")[1], 16)


def rate(qemu, area, seconds=2.0):
    """MiB of pages that the guest writes in a second, measured for so long; `area` in MiB."""
    def pages():
        while True:
            first, cursor, again = word(qemu, GENERATION), word(qemu, CURSOR), word(qemu, GENERATION)
            if first == again:
                return first * area * MIB + cursor
    before, start = pages(), time.monotonic()
    time.sleep(seconds)
    return (pages() - before) / MIB / (time.monotonic() - start)
