#!/usr/bin/env python3
"""How long a busy VM stands still for a stopped save and for a live one, in turns, on this machine.

  measure_live.py [--runs 5] [--memory MIB] [--churn MIB] [--engine capture|qemu] [--shared] COMMAND DIRECTORY

COMMAND is the built mapped-ram; the images go into DIRECTORY. The guest is that of Tests/Guest: it sums what it has in most
of its RAM, then rewrites the last CHURN MiB, and so on for ever. Prints each run, the medians and their ratio.
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
from qemu import QEMU, firmware


def lines(serial):
    with open(serial, "rb") as file:
        return file.read().count(b"\n")


def save(options, command, socket, image, *more):
    words = [command, "save", "--qmp", socket, image, "--engine", options.engine, "--json", *more]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: status {done.returncode}: {done.stderr}")
    os.unlink(image)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--memory", type=int, default=1536, help="MiB, up to 2048")
    parser.add_argument("--churn", type=int, default=100, help="MiB")
    parser.add_argument("--engine", default="capture")
    parser.add_argument("--shared", action="store_true", help="the RAM is a shared memfd")
    parser.add_argument("command")
    parser.add_argument("directory")
    options = parser.parse_args()
    end, churn = options.memory << 20, options.churn << 20
    with tempfile.TemporaryDirectory() as own:
        bios, serial, socket = (os.path.join(own, name) for name in ("bios", "serial", "qmp"))
        firmware(bios, end=end - churn, mask=0xFFFFFFFF, seed=0x5EED, churn=end - churn, churn_end=end)
        backend = f"memory-backend-{'memfd,share=on' if options.shared else 'ram'},id=main,size={options.memory}M"
        with QEMU("-bios", bios, "-m", f"{options.memory}M", "-object", backend, "-machine", "q35,memory-backend=main",
                  "-qmp", f"unix:{socket},server=on,wait=off", serial=serial):
            while lines(serial) < 2:
                time.sleep(0.1)
            before, start = lines(serial), time.monotonic()
            while lines(serial) < before + 4:
                time.sleep(0.01)
            rate = 4 * options.churn / (time.monotonic() - start)
            print(f"{options.memory} MiB of RAM, the guest touches {rate:.0f} MiB/s")
            stopped, live = [], []
            image = os.path.join(options.directory, "measure-live.img")
            for _ in range(options.runs):
                stopped.append(save(options, options.command, socket, image)["pauseSeconds"])
                report = save(options, options.command, socket, image, "--live")
                live.append(report["pauseSeconds"])
                details = report.get("live") or {"rounds": report.get("rounds")}
                print(f"stopped {stopped[-1]:.3f} s, live {live[-1]:.3f} s: {json.dumps(details)}", flush=True)
            a, b = statistics.median(stopped), statistics.median(live)
            print(f"median: stopped {a:.3f} s, live {b:.3f} s, {b / a:.2f} of it")


if __name__ == "__main__":
    main()
