#!/usr/bin/env python3
"""What the layouts 1M and 2M cost and give to VMs that run on an image (restore --engine map), in turns.

usage: measure_layout.py TOOL DIRECTORY... [--mebibytes N] [--rounds N] [--clones N]

Needs root, to drop the page cache. In each DIRECTORY, whose file system is named, a guest that has filled its memory but for a
quarter of the pages is captured in both layouts. Then, for each image:

  save        seconds of the transfer, bytes of the file, bytes on the disk
  cold        a new VM, nothing in the page cache: all memory is read (pmemsave to /dev/null), and once more: seconds, and those of
              the processor, of both; page faults, kB mapped by huge pages (FilePmdMapped of smaps), what is then cached
  warm        the same for the next VM, with all of it in the page cache
  scattered   a new VM, nothing in the page cache: 4 KiB at each of 500 places, at random but the same in both; what is then cached
  clones      N VMs at once, each of which has read all: the PSS of each, and in all; the image in the page cache
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
sys.dont_write_bytecode = True
from qemu import QEMU, Monitor, firmware  # noqa: E402

MiB = 1 << 20


def arguments(mebibytes, directory):
    return ["-M", "q35", "-m", str(mebibytes), "-bios", os.path.join(directory, "guest.bin")]


def drop_caches():
    subprocess.run(["sync"], check=True)
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3\n")


def cached(path):
    """Bytes of a file in the page cache."""
    size = os.path.getsize(path)
    found = subprocess.run(["fincore", "--bytes", "--noheadings", "--output", "RES", path], check=True, text=True,
                           capture_output=True)
    return min(size, int(found.stdout))


class Restored:
    """A VM that runs on `image`, paused. Use with `with`."""

    def __init__(self, tool, image, directory, mebibytes):
        self.image = image
        self.directory = tempfile.mkdtemp(dir=directory)
        done = subprocess.run(
            [tool, "restore", "--engine", "map", "--then", "pause", "--detach", "--json", "--quiet",
             "--socket", os.path.join(self.directory, "qmp"), "--log", os.path.join(self.directory, "log"), image, "--",
             "qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none", "-serial", "null",
             *arguments(mebibytes, directory)], check=True, text=True, stdout=subprocess.PIPE)
        report = json.loads(done.stdout)
        self.process = report["processID"]
        self.seconds = report["elapsedSeconds"]
        self.monitor = Monitor(report["socket"])
        self.bytes = mebibytes * MiB

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.monitor.quit()

    def read(self, start, size):
        self.monitor.command("pmemsave", val=start, size=size, filename="/dev/null")

    def faults(self):
        fields = open(f"/proc/{self.process}/stat").read().rsplit(") ", 1)[1].split()
        return int(fields[7]) + int(fields[9])

    def cpu(self):
        """Seconds of a processor that the main thread, which does what QMP says, has used."""
        return int(open(f"/proc/{self.process}/task/{self.process}/schedstat").read().split()[0]) / 1e9

    def mapping(self):
        """Of the image's mapping: kB by the names of smaps."""
        found = {}
        inside = False
        for line in open(f"/proc/{self.process}/smaps"):
            words = line.split()
            if not words[0].endswith(":"):
                inside = line.rstrip().endswith(self.image)
            elif inside and words[-1] == "kB":
                found[words[0][:-1]] = found.get(words[0][:-1], 0) + int(words[1])
        return found

    def pss(self):
        return sum(int(line.split()[1]) for line in open(f"/proc/{self.process}/smaps_rollup") if line.startswith("Pss:"))

    def first_pass(self):
        """Reads all memory twice. Between 640 KiB and 1 MiB there are other things."""
        before = self.faults()
        times = []
        cpu = [self.cpu()]
        for _ in range(2):
            start = time.monotonic()
            self.read(MiB, self.bytes - MiB)
            times.append(time.monotonic() - start)
            cpu.append(self.cpu())
            after = self.faults() if len(times) == 1 else after
        found = self.mapping()
        return {"restoreSeconds": self.seconds, "seconds": times[0], "secondsAgain": times[1], "cpuSeconds": cpu[1] - cpu[0],
                "cpuSecondsAgain": cpu[2] - cpu[1], "faults": after - before,
                "rssKB": found["Rss"], "filePmdMappedKB": found["FilePmdMapped"], "cachedBytes": cached(self.image)}


def save(tool, vm, layout, image):
    done = subprocess.run([tool, "save", "--layout", layout, "--then", "pause", "--json", "--quiet", vm, image], check=True,
                          text=True, stdout=subprocess.PIPE)
    report = json.loads(done.stdout)
    return {"seconds": report["transfer"]["elapsedSeconds"], "fileBytes": report["fileSize"],
            "diskBytes": os.stat(image).st_blocks * 512, "presentBytes": report["transfer"]["presentBytes"]}


def measure(options, directory):
    tool, rounds = options.tool, options.rounds
    results = {layout: {"save": [], "cold": [], "warm": [], "scattered": []} for layout in ("1M", "2M")}
    guest = os.path.join(directory, "guest.bin")
    firmware(guest, end=options.mebibytes * MiB, mask=3)
    socket = os.path.join(directory, "vm.qmp")
    serial = os.path.join(directory, "serial")
    with QEMU(*arguments(options.mebibytes, directory), "-qmp", f"unix:{socket},server=on,wait=off", serial=serial):
        while not os.path.exists(serial) or open(serial, "rb").read().count(b"\n") < 2:
            time.sleep(0.1)
        for _ in range(rounds):
            for layout, found in results.items():
                found["save"].append(save(tool, socket, layout, os.path.join(directory, f"{layout}.img")))
    chance = random.Random(7)
    places = [chance.randrange(MiB, options.mebibytes * MiB) & ~4095 for _ in range(500)]
    for _ in range(rounds):
        for layout, found in results.items():
            image = os.path.join(directory, f"{layout}.img")
            drop_caches()
            for name in ("cold", "warm"):
                with Restored(tool, image, directory, options.mebibytes) as vm:
                    found[name].append(vm.first_pass())
            drop_caches()
            with Restored(tool, image, directory, options.mebibytes) as vm:
                start = time.monotonic()
                for place in places:
                    vm.read(place, 4096)
                found["scattered"].append({"seconds": time.monotonic() - start, "cachedBytes": cached(image),
                                           "rssKB": vm.mapping()["Rss"]})
    for layout, found in results.items():
        image = os.path.join(directory, f"{layout}.img")
        drop_caches()
        clones = []
        try:
            for _ in range(options.clones):
                clones.append(Restored(tool, image, directory, options.mebibytes))
                clones[-1].read(MiB, options.mebibytes * MiB - MiB)
            found["clones"] = {"pssKB": [clone.pss() for clone in clones], "cachedBytes": cached(image)}
        finally:
            for clone in clones:
                clone.monitor.quit()
    return results


def summary(results):
    lines = []
    for layout, found in results.items():
        for name, samples in found.items():
            if isinstance(samples, dict):
                pss = samples["pssKB"]
                lines.append(f"{layout} {name}: {len(pss)} of {min(pss)} to {max(pss)} kB of PSS, {sum(pss)} kB in all; "
                             f"{samples['cachedBytes']} bytes of the image cached")
            else:
                medians = {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}
                lines.append(f"{layout} {name}: " + ", ".join(f"{key} {value:.6g}" for key, value in medians.items()))
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("directory", nargs="+")
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clones", type=int, default=16)
    options = parser.parse_args()
    for directory in options.directory:
        kind = subprocess.run(["stat", "-f", "-c", "%T", directory], check=True, text=True, capture_output=True).stdout.strip()
        results = measure(options, os.path.abspath(directory))
        print(f"{kind}, Linux {os.uname().release}, {options.mebibytes} MiB, medians of {options.rounds}")
        for line in summary(results):
            print("  " + line)
        print(json.dumps(results, sort_keys=True))


main()
