#!/usr/bin/env python3
"""Saves busy VMs live by capture, again and again, and restores each image in every way.

  repeat_live.py [--runs 20] [--memory 96,256] [--keep] COMMAND DIRECTORY [SAVE OPTION...]

COMMAND is the built mapped-ram; the images go into DIRECTORY. In each run, both guests of busy.py (a writer of 100 MiB/s and one
that touches all of its memory) are saved while they run, with memory of the sizes in turn, private and shared in turn, and left
paused. Each image is restored by a stock QEMU's own loader and by map, place and qemu; the guest's lines from before and after must
count up by one and have the same sum, the memory must be that of the source (pmemsave), and the source must go on as well. The
first failure ends it, and leaves the image.
"""
import argparse
import filecmp
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import busy
from qemu import QEMU, STANDARD, Monitor

ENGINES = ("stock", "map", "place", "qemu")
WRITER_AREA = 64


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def joined(before, after):
    """The lines of two guests that are one: the first line of the second may have begun in the first."""
    with open(before, "rb") as first, open(after, "rb") as second:
        return busy.parsed(first.read() + second.read())


def expect_one_count(lines, sum, what):
    counts = [count for count, _ in lines]
    check(counts == list(range(1, len(counts) + 1)), f"{what}: counted {counts}")
    check({total for _, total in lines} == {sum}, f"{what}: sums {lines}, not {sum:#x}")


def memory_of(qemu, path, memory):
    """All memory from 1 MiB on; below is what the chipset shows over it."""
    qemu.command("pmemsave", val=busy.MIB, size=(memory - 1) * busy.MIB, filename=path)
    return path


class Source:
    """A VM that is saved live and paused then."""

    def __init__(self, options, kind, memory, shared, own):
        self.options, self.memory, self.shared, self.own = options, memory, shared, own
        self.name = f"{kind} of {memory} MiB {'shared' if shared else 'private'}"
        self.bios, self.serial = os.path.join(own, "bios"), os.path.join(own, "serial")
        self.area = WRITER_AREA if kind == "writer" else memory - 2
        if kind == "writer":
            busy.writer(self.bios, memory, WRITER_AREA, 100)
        else:
            busy.toucher(self.bios, memory)
        self.arguments = busy.machine(self.bios, memory, shared)
        self.image = os.path.join(options.directory, f"repeat-live-{kind}.img")

    def run(self):
        socket = os.path.join(self.own, "socket")
        with QEMU(*self.arguments, "-qmp", f"unix:{socket},server=on,wait=off", serial=self.serial) as qemu:
            busy.wait_for_lines(self.serial, 2)
            self.rate = busy.rate(qemu, self.area, 0.3)
            words = [self.options.command, "save", socket, self.image, "--engine", "capture", "--live", "--then", "pause",
                     "--json", "--progress", "none", *self.options.more]
            done = subprocess.run(words, capture_output=True, text=True)
            check(done.returncode == 0, f"{' '.join(words)}: status {done.returncode}: {done.stderr}")
            self.report = json.loads(done.stdout)
            lines = busy.lines(self.serial)
            self.sum = lines[0][1]
            memory = memory_of(qemu, os.path.join(self.own, "memory"), self.memory)
            for engine in ENGINES:
                self.restore(engine, memory)
            os.unlink(memory)
            qemu.command("cont")
            busy.wait_for_lines(self.serial, len(lines) + 2)
            expect_one_count(busy.lines(self.serial), self.sum, f"{self.name}, the source after the save")
            check(not qemu.output(), f"{self.name}: QEMU said {qemu.output()}")
        if not self.options.keep:
            os.unlink(self.image)

    def restore(self, engine, memory):
        serial = os.path.join(self.own, engine)
        what = f"{self.name}, restored by {engine}"
        if engine == "stock":
            with QEMU(*self.arguments, "-incoming", "defer", "-S", serial=serial) as qemu:
                qemu.load(self.image)
                self.expect(qemu, serial, memory, what)
                check(not qemu.output(), f"{what}: QEMU said {qemu.output()}")
            return
        socket, log = os.path.join(self.own, engine + ".qmp"), os.path.join(self.own, engine + ".log")
        arguments = self.arguments if engine != "map" or not self.shared else busy.machine(self.bios, self.memory, False)
        done = subprocess.run(
            [self.options.command, "restore", "--engine", engine, "--then", "pause", "--detach", "--socket", socket, "--log", log,
             "--progress", "none", self.image, "--", "qemu-system-x86_64", *STANDARD, "-serial", f"file:{serial}", *arguments],
            capture_output=True, text=True)
        check(done.returncode == 0, f"{what}: status {done.returncode}: {done.stderr}")
        with Monitor(socket) as qemu:
            try:
                self.expect(qemu, serial, memory, what)
            finally:
                qemu.quit()
        with open(log) as file:
            said = file.read()
        check(not said, f"{what}: QEMU said {said}")

    def expect(self, qemu, serial, memory, what):
        copy = memory_of(qemu, memory + ".copy", self.memory)
        check(filecmp.cmp(memory, copy, shallow=False), f"{what}: other memory, see {memory} and {copy}")
        os.unlink(copy)
        qemu.command("cont")
        busy.wait_for_lines(serial, 3)
        expect_one_count(joined(self.serial, serial), self.sum, what)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--memory", default="96,256", help="MiB, each in turn")
    parser.add_argument("--keep", action="store_true", help="leave the last images")
    parser.add_argument("command")
    parser.add_argument("directory")
    options, options.more = parser.parse_known_args()
    sizes = [int(size) for size in options.memory.split(",")]
    for run in range(options.runs):
        for kind in "writer", "toucher":
            memory, shared = sizes[run % len(sizes)], run // len(sizes) % 2 == 1
            with tempfile.TemporaryDirectory() as own:
                source = Source(options, kind, memory, shared, own)
                source.run()
            live = source.report["live"]
            changed = "+".join(f"{one['changedBytes'] / busy.MIB:.0f}" for one in live["rounds"] + [live["lastRound"]])
            print(f"{run + 1:2}: {source.name}, {source.rate:.0f} MiB/s: rounds of {changed} MiB, paused for"
                  f" {source.report['downtimeSeconds']:.3f} s, {live['clearedPages']} slots cleared; whole in all"
                  f" {len(ENGINES)} ways and itself", flush=True)


if __name__ == "__main__":
    try:
        main()
    except AssertionError as failure:
        sys.exit(f"repeat_live.py: {failure}")
