#!/usr/bin/env python3
"""Saves and restores eight devices beside a VM, in turns with fio on the same file system.

  measure_devices.py [--runs 5] [--memory MIB] [--devices 8] [--state MIB] [--to null,count,cmp] COMMAND DIRECTORY

COMMAND is the built mapped-ram; the image goes into DIRECTORY. The VM's memory and the states are random bytes in /dev/shm. A
restore places the RAM into the memory of a QEMU that waits, which is there already: pages that are touched for the first time, as in
a new file in memory, can cost more than the disk. The devices' states go to /dev/null (the engine alone), to commands that count
them (`wc -c`), and to commands that compare them with the files. Rates are of the sum of both, those of fio of as many bytes.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from qemu import QEMU

GIB = 1 << 30
TARGETS = {"null": "/dev/null", "count": "|wc -c", "cmp": "|cmp - '{}'"}


def random_file(path, mebibytes):
    with open(path, "wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1 << 20))
    return path


def run(words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def remove(path):
    """Removes a file, and waits until the disk has got over it: what is freed may be discarded, which takes the next writer's time."""
    if os.path.exists(path):
        os.unlink(path)
    os.sync()
    time.sleep(3)


class Measure:
    def __init__(self, options, own):
        self.options, self.own = options, own
        self.image = os.path.join(options.directory, "measure-devices.img")
        self.bytes = (options.memory + options.devices * options.state) << 20
        self.ram = random_file(os.path.join(own, "ram"), options.memory)
        self.states = [random_file(os.path.join(own, f"state{i}"), options.state) for i in range(options.devices)]

    def fio(self, direction):
        """GiB a second of `direction`, on a file of its own or the image."""
        path = self.image if direction == "read" else self.image + ".fio"
        words = ["env", "GLIBC_TUNABLES=glibc.malloc.hugetlb=1", "fio", "--name=x", f"--filename={path}", f"--rw={direction}", "--bs=1M", "--iodepth=4", "--ioengine=io_uring",
                 "--direct=1", f"--size={self.bytes}", "--output-format=json", "--fallocate=none"]
        job = run(words + (["--readonly"] if direction == "read" else ["--end_fsync=1"]))["jobs"][0][direction]
        if direction == "write":
            remove(path)
        return job["io_bytes"] / GIB / (job["runtime"] / 1000)

    def machine(self, backend, socket, *more):
        return QEMU("-m", f"{self.options.memory}M", "-machine", "q35,memory-backend=main", "-object",
                    f"{backend},id=main,size={self.options.memory}M", "-S", "-qmp", f"unix:{socket},server=on,wait=off", *more)

    def devices(self, targets):
        return [word for i, state in enumerate(self.states) for word in ("--device", f"d{i}={targets.format(state)}")]

    def save(self):
        socket = os.path.join(self.own, "source")
        with self.machine(f"memory-backend-file,share=on,mem-path={self.ram}", socket):
            return self.rate(run([self.options.command, "save", socket, self.image, "--engine", "capture", "--json",
                                  "--progress", "none", *self.devices("{}")]))

    def restore(self, target):
        socket = os.path.join(self.own, "target")
        with self.machine("memory-backend-ram,prealloc=on", socket, "-incoming", "defer"):
            return self.rate(run([self.options.command, "restore", self.image, socket, "--engine", "place", "--json",
                                  "--then", "pause", "--progress", "none", *self.devices(TARGETS[target])]))

    def rate(self, report):
        transfer = report["transfer"]
        self.peak = max(getattr(self, "peak", 0), transfer["peakMemoryBytes"])
        return self.bytes / GIB / transfer["elapsedSeconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--memory", type=int, default=4096, help="MiB")
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--state", type=int, default=256, help="MiB of each device")
    parser.add_argument("--to", default="null,count,cmp", help="where restored states go")
    parser.add_argument("command")
    parser.add_argument("directory")
    options = parser.parse_args()
    rates = {}

    def note(name, rate):
        rates.setdefault(name, []).append(rate)

    with tempfile.TemporaryDirectory(dir="/dev/shm") as own:
        measure = Measure(options, own)
        try:
            for _ in range(options.runs):
                remove(measure.image)
                note("fio write", measure.fio("write"))
                note("save", measure.save())
                os.sync()
                note("fio read", measure.fio("read"))
                for target in options.to.split(","):
                    note(f"restore, {target}", measure.restore(target))
                print(", ".join(f"{name} {rate[-1]:.2f}" for name, rate in rates.items()), flush=True)
        finally:
            remove(measure.image)
    for name, rate in rates.items():
        of = rates["fio write" if name == "save" else "fio read"]
        ratio = statistics.median(rate) / statistics.median(of)
        print(f"{name}: median {statistics.median(rate):.2f} GiB/s" + (f", {ratio:.2f} of fio" if "fio" not in name else ""))
    print(f"peak memory {measure.peak >> 20} MiB")


if __name__ == "__main__":
    main()
