#!/usr/bin/env python3
"""What a restore by map takes besides QEMU's own start, what QEMU's start depends on, and what a pool of waiting QEMUs saves, in turns.

usage: measure_restore.py TOOL... DIRECTORY [--gibibytes 1,64] [--rounds N] [--waiting N]

Each TOOL is a mapped-ram; with several, they take turns. A guest that has filled 256 MiB is captured in each size. Then, N times in turns,
milliseconds from fork to the end:

  TOOL        the whole command: restore --engine map --detach, as a shell would start it
  TOOL, own   a processor's time of the command alone, until it finds that there is no such QEMU: also where others need the processors
  start       QEMU alone, with the command line that the command has given it, until it has answered qmp_capabilities
  incoming    QEMU alone, with shared memory, until it has loaded a stream of device state alone (x-ignore-shared)

Of QEMU alone, with other arguments, until it has answered qmp_capabilities: as above, and with one thing changed.

Of QEMUs that wait (-incoming defer), with their memory from the image or of their own: the whole command restore IMAGE SOCKET, by map or
place, and the PSS of one that waits, and of one that has the VM, which is paused.
"""
import argparse
import json
import os
import re
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
sys.dont_write_bytecode = True
from qemu import QEMU, Monitor, firmware  # noqa: E402

BARE = ["-accel", "tcg", "-nodefaults", "-display", "none", "-serial", "null"]


def arguments(gibibytes, directory):
    return ["-M", "q35", "-m", f"{gibibytes}G", "-bios", os.path.join(directory, "guest.bin")]


def save(tool, gibibytes, directory):
    """Makes an image, unless it is there. The memory of a large VM is not set aside."""
    image = os.path.join(directory, f"{gibibytes}G.img")
    if os.path.exists(image):
        return image
    firmware(os.path.join(directory, "guest.bin"), end=256 << 20, mask=3)
    with tempfile.TemporaryDirectory(dir=directory) as own:
        vm, serial = os.path.join(own, "qmp"), os.path.join(own, "serial")
        with QEMU(*arguments(gibibytes, directory), "-qmp", f"unix:{vm},server=on,wait=off", "-machine", "memory-backend=pc.ram",
                  "-object", f"memory-backend-ram,id=pc.ram,size={gibibytes}G,reserve=off", serial=serial):
            while not os.path.exists(serial) or open(serial, "rb").read().count(b"\n") < 2:
                time.sleep(0.1)
            subprocess.run([tool, "save", "--quiet", "--then", "pause", vm, image], check=True)
    return image


def timed(*words):
    start = time.monotonic()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return (time.monotonic() - start) * 1000


def own_time(tool, image, more):
    """A processor's milliseconds of a restore by map into a QEMU that is not there."""
    words = [tool, "restore", "--engine", "map", "--quiet", image, "--", "/nonexistent/qemu", *BARE, *more]
    silent = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_WRONLY, 0) for descriptor in (1, 2)]
    process = os.posix_spawn(tool, words, os.environ, file_actions=silent)
    usage = os.wait4(process, 0)[2]
    return (usage.ru_utime + usage.ru_stime) * 1000


def pss(process):
    return next(int(line.split()[1]) for line in open(f"/proc/{process}/smaps_rollup") if line.startswith("Pss:"))


class Restored:
    """A VM that TOOL has restored by map. Use with `with`."""

    count = 0

    def __init__(self, tool, image, more, directory):
        # A name of its own: a QEMU closes its socket before it removes it.
        Restored.count += 1
        self.path = os.path.join(directory, f"restored{Restored.count}.qmp")
        log = os.path.join(directory, "restored.log")
        self.milliseconds = timed(tool, "restore", "--engine", "map", "--detach", "--quiet", "--socket", self.path, "--log", log,
                                  image, "--", "qemu-system-x86_64", *BARE, *more)
        self.monitor = Monitor(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.monitor.quit()

    def words(self):
        """QEMU's command line, without what belongs to the command."""
        peer = self.monitor.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        words = open(f"/proc/{int.from_bytes(peer[:4], 'little')}/cmdline").read().split("\0")[:-1]
        kept = []
        while words:
            word = words.pop(0)
            if word == "-add-fd" or words and re.search("mapped-ram-(control|qmp)", words[0]):
                words.pop(0)
            else:
                kept.append(word)
        return kept


class Started:
    """A QEMU alone, which has answered qmp_capabilities after so many milliseconds. Use with `with`."""

    def __init__(self, words):
        ours, theirs = socket.socketpair()
        start = time.monotonic()
        self.process = subprocess.Popen(
            [*words, "-chardev", f"socket,id=q,fd={theirs.fileno()}", "-qmp", "chardev:q"], pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        theirs.close()
        self.socket = ours
        self.lines = ours.makefile("rwb")
        if not self.lines.readline():
            raise RuntimeError("QEMU ended: " + shlex.join(words))
        self.command("qmp_capabilities")
        self.milliseconds = (time.monotonic() - start) * 1000

    def command(self, name, **arguments):
        return Monitor.command(self, name, **arguments)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.lines.close()
        self.socket.close()


def ignoring_shared(words, gibibytes, path):
    """The command line with memory that a stream may leave out: in a file with a name."""
    words = list(words)
    index = next(i for i, word in enumerate(words) if "memory-backend-file" in word)
    words[index] = (f"memory-backend-file,id=pc.ram,mem-path={path},size={gibibytes}G,share=on,"
                    "x-use-canonical-path-for-ramblock-id=off")
    return words


def shared(vm):
    vm.command("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])


def device_stream(words, path):
    """Writes the stream of a VM that has not begun."""
    words = [word for word in words if word not in ("-incoming", "defer")]
    with Started(words) as vm:
        shared(vm)
        vm.command("migrate", uri=f"file:{path}")
        while vm.command("query-migrate")["status"] != "completed":
            time.sleep(0.01)


def incoming(words, path):
    start = time.monotonic()
    with Started(words) as vm:
        shared(vm)
        vm.command("migrate-incoming", uri=f"file:{path}")
        while vm.command("query-migrate").get("status") != "completed":
            pass
        return (time.monotonic() - start) * 1000


def measure(options, gibibytes, directory):
    image = save(options.tool[0], gibibytes, directory)
    more = arguments(gibibytes, directory)
    found = {}
    with Restored(options.tool[0], image, more, directory) as vm:
        words = vm.words()
    stream, memory = os.path.join(directory, "stream"), os.path.join(directory, "memory")
    other = ignoring_shared(words, gibibytes, memory)
    device_stream(other, stream)
    for _ in range(options.rounds):
        for tool in options.tool:
            with Restored(tool, image, more, directory) as vm:
                found.setdefault(os.path.basename(tool), []).append(vm.milliseconds)
            found.setdefault(os.path.basename(tool) + ", own", []).append(own_time(tool, image, more))
        with Started(words) as vm:
            found.setdefault("start", []).append(vm.milliseconds)
        found.setdefault("incoming", []).append(incoming(other, stream))
    os.remove(memory)
    return found


def variants(directory):
    """Other command lines of QEMU, and the one that they differ from."""
    guest = ["-bios", os.path.join(directory, "guest.bin")]
    program = ["qemu-system-x86_64", "-accel", "tcg", "-m", "1G"]
    bare = ["-nodefaults", "-display", "none"]
    return {
        "bare": [*program, "-M", "q35", *bare, *guest],
        "bare, -S": [*program, "-M", "q35", *bare, *guest, "-S"],
        "bare, -incoming defer -S": [*program, "-M", "q35", *bare, *guest, "-incoming", "defer", "-S"],
        "bare, QEMU's own firmware": [*program, "-M", "q35", *bare],
        "bare, virtio-net and its ROM": [*program, "-M", "q35", *bare, *guest, "-device", "virtio-net-pci"],
        "bare, virtio-net without ROM": [*program, "-M", "q35", *bare, *guest, "-device", "virtio-net-pci,romfile="],
        "bare, -cpu max": [*program, "-M", "q35", *bare, *guest, "-cpu", "max"],
        "bare, -smp 8": [*program, "-M", "q35", *bare, *guest, "-smp", "8"],
        "bare, pc": [*program, "-M", "pc", *bare, *guest],
        "bare, microvm": [*program, "-M", "microvm", *bare, *guest],
        "no -nodefaults": [*program, "-M", "q35", "-display", "none", *guest],
        "no -nodefaults, -vga none": [*program, "-M", "q35", "-display", "none", "-vga", "none", *guest],
        "no -nodefaults, -nographic": [*program, "-M", "q35", "-nographic", *guest],
    }


def measure_starts(options, directory):
    found = {}
    for _ in range(options.rounds):
        for name, words in variants(directory).items():
            with Started(words) as vm:
                found.setdefault(name, []).append(vm.milliseconds)
    return found


def measure_pool(options, gibibytes, directory):
    tool, image, found = options.tool[-1], os.path.join(directory, f"{gibibytes}G.img"), {}
    with Restored(tool, image, arguments(gibibytes, directory), directory) as vm:
        mapped = vm.words()
    plain = ["qemu-system-x86_64", *BARE, *arguments(gibibytes, directory), "-incoming", "defer", "-S"]
    engines = [("map", mapped)] + ([("place", plain)] if gibibytes == 1 else [])
    rounds = -(-options.rounds // options.waiting)
    for _ in range(rounds):
        for engine, words in engines:
            waiting = []
            try:
                for number in range(options.waiting):
                    path = os.path.join(directory, f"waiting{number}.qmp")
                    waiting.append((Started([*words, "-qmp", f"unix:{path},server=on,wait=off"]), path))
                time.sleep(0.2)
                for vm, path in waiting:
                    found.setdefault(f"{engine}, start", []).append(vm.milliseconds)
                    found.setdefault(f"{engine}, kB of PSS, waits", []).append(pss(vm.process.pid))
                    found.setdefault(f"{engine}, restore", []).append(
                        timed(tool, "restore", "--engine", engine, "--then", "pause", "--quiet", image, path))
                    found.setdefault(f"{engine}, kB of PSS, restored", []).append(pss(vm.process.pid))
            finally:
                for vm, _ in waiting:
                    vm.__exit__()
    return found


def show(title, found):
    print(title)
    for name, samples in found.items():
        ordered = sorted(samples)
        quarter = len(ordered) // 4
        print(f"  {name}: median {statistics.median(ordered):.1f}, quartiles {ordered[quarter]:.1f} and {ordered[-1 - quarter]:.1f}, "
              f"least {ordered[0]:.1f}, of {len(ordered)}")
    print(json.dumps({name: [round(sample, 2) for sample in samples] for name, samples in found.items()}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool", nargs="+")
    parser.add_argument("directory")
    parser.add_argument("--gibibytes", default="1,64")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--waiting", type=int, default=4)
    options = parser.parse_args()
    options.tool = [os.path.abspath(tool) for tool in options.tool]
    directory = os.path.abspath(options.directory)
    sizes = [int(size) for size in options.gibibytes.split(",")]
    print(f"Linux {os.uname().release}, {os.cpu_count()} processors; milliseconds")
    for size in sizes:
        show(f"{size} GiB", measure(options, size, directory))
    show("QEMU's start, 1 GiB", measure_starts(options, directory))
    for size in sizes:
        show(f"{options.waiting} QEMUs that wait, {size} GiB", measure_pool(options, size, directory))


main()
