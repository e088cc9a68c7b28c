#!/usr/bin/env python3
"""What QEMU's own save into a mapped-ram file does with one channel and with several. Needs root for `full`.

  measure_channels.py full [--runs 300] [--channels 1,8] [--memory 64] [--program QEMU]
  measure_channels.py speed DIRECTORY [--rounds 5] [--memory 2048] [--program QEMU]

`full` saves a paused VM full of random data onto a tmpfs that is too small for it, again and again, and counts the saves that failed,
as they should, and those that took QEMU with them.

`speed` saves a paused VM into a file in DIRECTORY, with direct I/O, in turns: with one channel and with several, zero pages found by
the channels ("multifd") or by the migration thread ("legacy"). It prints the medians of GiB/s and of QEMU's CPU-seconds for each GiB.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from qemu import QEMU

MIB = 1 << 20


def contents(path, memory, mix):
    """Memory of `memory` MiB: random, of which three MiB in five are zero for `runs`."""
    with open(path, "wb") as file:
        for number in range(memory):
            if mix == "random" or mix == "runs" and number % 5 < 2:
                file.seek(number * MIB)
                file.write(os.urandom(MIB))
        file.truncate(memory * MIB)


def machine(path, memory):
    return ["-S", "-m", f"{memory}M", "-machine", "q35,memory-backend=main",
            "-object", f"memory-backend-file,id=main,size={memory}M,mem-path={path},share=off"]


def end(qemu):
    """The status at the end of a migration; None where QEMU has ended."""
    while True:
        try:
            status = qemu.command("query-migrate").get("status")
        except (RuntimeError, OSError):
            return None
        if status in ("completed", "failed", "cancelled"):
            return status
        time.sleep(0.002)


def full(options):
    with tempfile.TemporaryDirectory() as own:
        memory = os.path.join(own, "memory")
        contents(memory, options.memory, "random")
        target = os.path.join(own, "target")
        os.mkdir(target)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={options.memory // 3}M", "tmpfs", target], check=True)
        try:
            for channels in options.channels:
                failed = died = 0
                causes = {}
                qemu = None
                while failed + died < options.runs:
                    if qemu is None:
                        qemu = QEMU(*machine(memory, options.memory), program=options.program)
                        qemu.capabilities("mapped-ram", "multifd")
                        qemu.command("migrate-set-parameters", multifd_channels=channels, max_bandwidth=0)
                    image = os.path.join(target, "image")
                    try:
                        qemu.command("migrate", uri=f"file:{image}")
                        status = end(qemu)
                        if status is not None:
                            # It may die in its clean-up as well.
                            time.sleep(0.005)
                            qemu.command("query-status")
                    except (RuntimeError, OSError):
                        status = None
                    if status is None:
                        died += 1
                        code = qemu.process.wait()
                        causes[code] = causes.get(code, 0) + 1
                        qemu.close()
                        qemu = None
                    else:
                        assert status == "failed", status
                        failed += 1
                    if os.path.exists(image):
                        os.truncate(image, 0)
                if qemu is not None:
                    qemu.close()
                print(f"{channels} channels: {failed + died} saves onto a full disk, {died} of them ended QEMU {causes or ''}",
                      flush=True)
        finally:
            subprocess.run(["umount", "--lazy", target], check=True)


def cpu_seconds(process):
    with open(f"/proc/{process}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def speed(options):
    kinds = [(channels, zeros) for channels in options.channels for zeros in ("multifd", "legacy")]
    with tempfile.TemporaryDirectory(dir=options.directory) as own:
        for mix in ("random", "runs", "zero"):
            memory = os.path.join(own, "memory")
            contents(memory, options.memory, mix)
            found = {kind: [] for kind in kinds}
            with QEMU(*machine(memory, options.memory), program=options.program) as qemu:
                qemu.capabilities("mapped-ram", "multifd")
                for turn in range(options.rounds + 1):
                    for kind in kinds:
                        channels, zeros = kind
                        image = os.path.join(own, "image")
                        open(image, "wb").close()
                        # One that has been saved has to run before it can be saved again.
                        qemu.command("cont")
                        qemu.command("stop")
                        qemu.command("migrate-set-parameters", multifd_channels=channels, max_bandwidth=0, direct_io=True,
                                     zero_page_detection=zeros)
                        before, start = cpu_seconds(qemu.process.pid), time.monotonic()
                        qemu.command("migrate", uri=f"file:{image}")
                        assert end(qemu) == "completed"
                        took = time.monotonic() - start
                        if turn:  # The first one faults the memory in.
                            found[kind].append((took, cpu_seconds(qemu.process.pid) - before))
                        os.remove(image)
            gib = options.memory / 1024
            for (channels, zeros), samples in found.items():
                seconds, cpu = (statistics.median(column) for column in zip(*samples))
                print(f"{mix}: {channels} channels, zeros by {zeros}: {gib / seconds:.2f} GiB/s, {cpu / gib:.3f} CPU-s/GiB; "
                      f"{' '.join(f'{s:.3f}' for s, _ in samples)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["full", "speed"])
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--channels", type=lambda text: [int(n) for n in text.split(",")], default=[1, 8])
    parser.add_argument("--memory", type=int)
    parser.add_argument("--program", default="qemu-system-x86_64")
    options = parser.parse_args()
    options.memory = options.memory or (64 if options.what == "full" else 2048)
    if options.what == "speed" and not options.directory:
        parser.error("speed needs a DIRECTORY")
    full(options) if options.what == "full" else speed(options)


if __name__ == "__main__":
    main()
