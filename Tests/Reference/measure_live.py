#!/usr/bin/env python3
"""The downtime of a busy VM for a stopped save and for a live one, in turns, on this machine.

  measure_live.py [--runs 5] [--memory MIB] [--guest writer|toucher] [--rate MIB] [--area MIB] [--engine capture|qemu] [--shared]
                  COMMAND DIRECTORY

COMMAND is the built mapped-ram; the images go into DIRECTORY. The guests are those of busy.py: the writer rewrites RATE MiB a
second, round and round in the last AREA MiB, and the toucher changes a word in every page as quickly as it can. Prints each run
with what QEMU sent, or its rounds, the time of all against that of the stopped save, the medians and their ratio.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import busy
from qemu import QEMU


def save(options, socket, image, *more):
    words = [options.command, "save", socket, image, "--engine", options.engine, "--json", "--progress", "none", *more]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: status {done.returncode}: {done.stderr}")
    os.unlink(image)
    os.sync()
    return json.loads(done.stdout)


def told(round):
    """A round in short."""
    read, changed = round["readBytes"] / busy.MIB, round["changedBytes"] / busy.MIB
    return f"{round['elapsedSeconds']:.3f} s (read {read:.0f}, changed {changed:.0f} MiB)"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--memory", type=int, default=1536, help="MiB, up to 2048")
    parser.add_argument("--guest", choices=["writer", "toucher"], default="writer")
    parser.add_argument("--rate", type=int, default=100, help="MiB a second that the writer changes")
    parser.add_argument("--area", type=int, default=512, help="MiB that the writer changes")
    parser.add_argument("--engine", default="capture")
    parser.add_argument("--shared", action="store_true", help="the RAM is a shared memfd")
    parser.add_argument("command")
    parser.add_argument("directory")
    options, more = parser.parse_known_args()
    area = options.area if options.guest == "writer" else options.memory - 2
    with tempfile.TemporaryDirectory() as own:
        bios, serial, socket = (os.path.join(own, name) for name in ("bios", "serial", "qmp"))
        if options.guest == "writer":
            busy.writer(bios, options.memory, area, options.rate)
        else:
            busy.toucher(bios, options.memory)
        with QEMU(*busy.machine(bios, options.memory, options.shared), "-qmp", f"unix:{socket},server=on,wait=off",
                  serial=serial) as qemu:
            busy.wait_for_lines(serial, 1, seconds=120)
            print(f"{options.memory} MiB of {'shared' if options.shared else 'private'} RAM; the guest writes"
                  f" {busy.rate(qemu, area):.0f} MiB/s of pages")
            stopped, live = [], []
            image = os.path.join(options.directory, "measure-live.img")
            for _ in range(options.runs):
                report = save(options, socket, image)
                stopped.append(report["downtimeSeconds"])
                whole = report["transfer"]["elapsedSeconds"]
                report = save(options, socket, image, "--live", *more)
                live.append(report["downtimeSeconds"])
                whole = report["transfer"]["elapsedSeconds"] / whole
                print(f"stopped {stopped[-1]:.4f} s, live {live[-1]:.4f} s, {live[-1] / stopped[-1]:.3f} of it;"
                      f" in all {whole:.2f} of it", flush=True)
                details = report.get("live")
                if details is None:
                    print(f"  snapshot {report['snapshot']}, rounds {report['rounds']}")
                    continue
                print(f"  rounds: {', '.join(told(one) for one in details['rounds'])};"
                      f" the last: {told(details['lastRound'])}")
                print("  " + ", ".join(f"{name} {value}" for name, value in details.items()
                                       if name not in ("rounds", "lastRound")), flush=True)
            a, b = statistics.median(stopped), statistics.median(live)
            print(f"median: stopped {a:.3f} s, live {b:.3f} s, {b / a:.2f} of it")
            sums = {total for _, total in busy.lines(serial)}
            # A snapshot that is cut off in a write says so.
            said = [line for line in qemu.output().splitlines() if "failed to save SaveStateEntry" not in line]
            if len(sums) != 1 or said:
                sys.exit(f"the guest found other sums: {sums}; QEMU said: {said}")


if __name__ == "__main__":
    main()
