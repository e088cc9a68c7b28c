#!/usr/bin/env python3
"""Saves busy VMs live by capture, again and again, and restores each image in every way.

  repeat_live.py [--runs 20] [--memory 96,256] [--method rounds|snapshot] [--kills 0] [--load] [--keep] COMMAND DIRECTORY [SAVE OPTION...]

COMMAND is the built mapped-ram; the images go into DIRECTORY. In each run, both guests of busy.py (a writer of 100 MiB/s and one
that touches all of its memory) are saved while they run, with memory of the sizes in turn, private and shared in turn: in rounds, and
left paused then, or by a snapshot, and running on. Each image is restored by a stock QEMU's own loader and by map, place and qemu; the
guest's lines from before and after must count up by one and have the same sum, the memory must be that of the source in the pause
(pmemsave), and the source must go on as well. With --kills, as many saves of each VM by a snapshot are killed (SIGKILL) at random
moments before: each time the VM must run on, with nothing left of the save. With --load, a process writes to the disk of the images all
the time. The first failure ends it, and leaves the image.
"""
import argparse
import filecmp
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import busy
from qemu import QEMU, STANDARD, Monitor

ENGINES = ("stock", "map", "place", "qemu")
WRITER_AREA = 64
PROXY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "qmp_proxy.py")
# What QEMU writes when its background snapshot is cut off.
OF_A_CANCELLATION = ("failed to save SaveStateEntry", "Unable to write to socket")


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def wait_for(is_there, what, seconds=120):
    end = time.monotonic() + seconds
    while not is_there():
        check(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.001)


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
        # How long a save takes, about; of those that are killed.
        self.length = 0.5

    def words(self, socket):
        """The save as a command."""
        method = self.options.method
        return [self.options.command, "save", socket, self.image, "--engine", "capture", "--live", "--live-method", method,
                *(["--then", "pause"] if method == "rounds" else []), "--json", "--progress", "none", *self.options.more]

    def run(self):
        socket = os.path.join(self.own, "socket")
        with QEMU(*self.arguments, "-qmp", f"unix:{socket},server=on,wait=off", serial=self.serial) as qemu:
            busy.wait_for_lines(self.serial, 2)
            self.rate = busy.rate(qemu, self.area, 0.3)
            for _ in range(self.options.kills):
                self.kill(qemu, socket)
            memory, self.before = os.path.join(self.own, "memory"), os.path.join(self.own, "before")
            if self.options.method == "rounds":
                done = subprocess.run(self.words(socket), capture_output=True, text=True)
                self.look(qemu, memory)
            else:
                done = self.save_watched(qemu, socket, memory)
            check(done.returncode == 0, f"{' '.join(done.args)}: status {done.returncode}: {done.stderr}")
            self.report = json.loads(done.stdout)
            lines = busy.lines(self.before)
            self.sum = lines[0][1]
            for engine in ENGINES:
                self.restore(engine, memory)
            os.unlink(memory)
            if self.options.method == "rounds":
                qemu.command("cont")
            busy.wait_for_lines(self.serial, len(busy.lines(self.serial)) + 2)
            expect_one_count(busy.lines(self.serial), self.sum, f"{self.name}, the source after the save")
            said = [line for line in qemu.output().splitlines() if not any(word in line for word in OF_A_CANCELLATION)]
            check(not said, f"{self.name}: QEMU said {said}")
        if not self.options.keep:
            os.unlink(self.image)

    def look(self, qemu, memory):
        """Writes down what the paused VM is."""
        memory_of(qemu, memory, self.memory)
        shutil.copyfile(self.serial, self.before)

    def save_watched(self, qemu, socket, memory):
        """A save by a snapshot, in whose pause it is written down what the VM is."""
        proxy, reached, until = (os.path.join(self.own, name) for name in ("proxy", "reached", "until"))
        rules = [{"command": "cont", "nth": 1, "seconds": 60, "reached": reached, "until": until}]
        with subprocess.Popen([sys.executable, PROXY, proxy, socket, json.dumps(rules)]) as process:
            try:
                wait_for(lambda: os.path.exists(proxy), "the proxy")
                watcher = threading.Thread(target=self.watch, args=(qemu, memory, reached, until))
                watcher.start()
                done = subprocess.run(self.words(proxy), capture_output=True, text=True)
                watcher.join()
                return done
            finally:
                process.kill()

    def watch(self, qemu, memory, reached, until):
        try:
            wait_for(lambda: os.path.exists(reached), "the end of the pause")
            self.look(qemu, memory)
        finally:
            open(until, "w").close()

    def kill(self, qemu, socket):
        """A save that is killed at a random moment."""
        with subprocess.Popen(self.words(socket), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as save:
            try:
                # Uniformly over a save, whose length the one before has told.
                save.wait(random.random() * self.length)
                self.length = max(0.05, self.length * 0.9)
                os.unlink(self.image)
                return
            except subprocess.TimeoutExpired:
                self.length *= 1.05
                save.kill()
        wait_for(lambda: qemu.command("query-status")["running"], f"{self.name}: running again after a kill", 60)
        wait_for(lambda: qemu.command("query-migrate").get("status") in (None, "cancelled", "failed", "completed", "none"),
                 f"{self.name}: no migration after a kill", 60)
        wait_for(lambda: not any(one["state"] for one in qemu.command("query-migrate-capabilities")
                                 if one["capability"] == "background-snapshot"), f"{self.name}: the settings as they were", 60)
        # One that was killed when all was done has left an image.
        if os.path.exists(self.image):
            subprocess.run([self.options.command, "inspect", self.image], check=True, stdout=subprocess.DEVNULL)
            os.unlink(self.image)
        busy.wait_for_lines(self.serial, len(busy.lines(self.serial)) + 1)

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
        expect_one_count(joined(self.before, serial), self.sum, what)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--memory", default="96,256", help="MiB, each in turn")
    parser.add_argument("--method", choices=("rounds", "snapshot"), default="rounds")
    parser.add_argument("--kills", type=int, default=0, help="saves of each VM that are killed, by a snapshot")
    parser.add_argument("--load", action="store_true", help="write to the disk all the time")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--keep", action="store_true", help="leave the last images")
    parser.add_argument("command")
    parser.add_argument("directory")
    options, options.more = parser.parse_known_args()
    sizes = [int(size) for size in options.memory.split(",")]
    print(f"seed {options.seed}", flush=True)
    random.seed(options.seed)
    load = os.path.join(options.directory, "repeat-live-load")
    writer = options.load and subprocess.Popen(
        ["sh", "-c", f"while :; do dd if=/dev/zero of={shlex.quote(load)} bs=1M count=1024 oflag=direct status=none; done"],
        start_new_session=True)
    try:
        run_all(options, sizes)
    finally:
        if writer:
            os.killpg(writer.pid, signal.SIGKILL)
            os.unlink(load)


def run_all(options, sizes):
    for run in range(options.runs):
        for kind in "writer", "toucher":
            memory, shared = sizes[run % len(sizes)], run // len(sizes) % 2 == 1
            with tempfile.TemporaryDirectory() as own:
                source = Source(options, kind, memory, shared, own)
                source.run()
            print(f"{run + 1:3}: {source.name}, {source.rate:.0f} MiB/s: {told(source.report)}, paused for"
                  f" {source.report['downtimeSeconds'] * 1000:.0f} ms; whole in all {len(ENGINES)} ways and itself", flush=True)


def told(report):
    """How a save went."""
    if snapshot := report["snapshot"]:
        return f"{snapshot['sentPages']} pages sent, {snapshot['writtenPages']} of them before they had been read"
    live = report["live"]
    changed = "+".join(f"{one['changedBytes'] / busy.MIB:.0f}" for one in live["rounds"] + [live["lastRound"]])
    return f"rounds of {changed} MiB, {live['clearedPages']} slots cleared"


if __name__ == "__main__":
    try:
        main()
    except AssertionError as failure:
        sys.exit(f"repeat_live.py: {failure}")
