"""A stock QEMU for scripts: launch, QMP, save to a file, load from one. Standard library only."""
import json
import os
import select
import shlex
import shutil
import socket
import struct
import subprocess
import tempfile
import time

STANDARD = ["-accel", "tcg", "-nodefaults", "-display", "none"]
GUEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Guest", "firmware.bin")


def firmware(path, **parameters):
    """Writes the guest of Tests/Guest to `path` as a firmware, with its parameters set. Returns what it did."""
    text = f"# {path}: Tests/Guest with " + " ".join(f"{name}={value:#x}" for name, value in parameters.items())
    rom = bytearray(open(GUEST, "rb").read())
    for i, name in enumerate(("end", "mask", "seed", "churn", "churn_end")):
        if name in parameters:
            struct.pack_into("<I", rom, 0x1C0 + 4 * i, parameters.pop(name))
    assert not parameters, parameters
    with open(path, "wb") as file:
        file.write(rom)
    return text


def boot_sector(path, **parameters):
    """The same guest as a disk of one sector, padded to 1 MiB."""
    text = firmware(path, **parameters)
    os.truncate(path, 512)
    os.truncate(path, 1 << 20)
    return text + ", as a boot sector"


def ask(lines, request, said):
    """Sends a QMP command over `lines`; returns what it gives. `said` tells what QEMU said, if it has ended."""
    lines.write(json.dumps(request).encode() + b"\n")
    lines.flush()
    while True:
        try:
            line = lines.readline()
        except ConnectionError:
            line = b""
        if not line:
            raise RuntimeError("QEMU ended: " + said())
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{request['execute']}: {answer['error']['desc']}")
        if "return" in answer:
            return answer["return"]


class Monitor:
    """The QMP socket of a QEMU that another process has started. Use with `with`."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rwb")
        self.lines.readline()
        self.command("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.socket.close()

    def command(self, name, **arguments):
        return ask(self.lines, {"execute": name, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}}, str)

    def quit(self):
        """Ends QEMU, and waits until it has closed the socket."""
        try:
            self.command("quit")
            while self.lines.readline():
                pass
        except ConnectionError:
            pass


class QEMU:
    """One QEMU process. Use with `with`: it is killed at the end whatever happens."""

    def __init__(self, *arguments, program="qemu-system-x86_64", serial=None):
        self.directory = tempfile.mkdtemp(prefix="mapped-ram-qemu-")
        path = os.path.join(self.directory, "qmp")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(30)
        serial = ["-serial", f"file:{serial}"] if serial else []
        self.history = [shlex.join([program, *STANDARD, *serial, *arguments])]
        self.log = open(os.path.join(self.directory, "log"), "w+b")
        self.process = subprocess.Popen(
            [program, *STANDARD, "-qmp", f"unix:{path}", *serial, *arguments],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            while not select.select([listener], [], [], 0.2)[0]:
                if self.process.poll() is not None:
                    raise RuntimeError("QEMU ended: " + self.output())
            self.socket = listener.accept()[0]
            self.socket.settimeout(60)
            self.lines = self.socket.makefile("rwb")
            self.lines.readline()
            self.command("qmp_capabilities")
        except BaseException:
            self.close()
            raise
        finally:
            listener.close()

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def command(self, name, **arguments):
        request = {"execute": name, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}}
        if not name.startswith("q"):
            shown = {k: "+".join(c["capability"] for c in v) if k == "capabilities" else v for k, v in arguments.items()}
            self.history.append(name + "".join(f" {k.replace('_', '-')}={v}" for k, v in shown.items()))
        return ask(self.lines, request, self.output)

    def capabilities(self, *names):
        self.command("migrate-set-capabilities",
                     capabilities=[{"capability": name, "state": True} for name in names])

    def wait(self, seconds=120):
        """Until the migration is over; raises where it failed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = self.command("query-migrate").get("status")
            if status == "completed":
                return
            if status in ("failed", "cancelled"):
                raise RuntimeError(status + ": " + self.output())
            time.sleep(0.02)
        raise TimeoutError("migration")

    def save(self, path, *more, offset=0, stopped=True, wait=True, **parameters):
        self.capabilities("mapped-ram", *more)
        if "max_bandwidth" not in parameters:
            parameters["max_bandwidth"] = 0
        self.command("migrate-set-parameters", **parameters)
        if stopped:
            self.command("stop")
        self.command("migrate", uri=f"file:{path}" + (f",offset={offset}" if offset else ""))
        if wait:
            self.wait()

    def load(self, path, *more, offset=0):
        self.capabilities("mapped-ram", *more)
        self.command("migrate-incoming", uri=f"file:{path}" + (f",offset={offset}" if offset else ""))
        self.wait()
