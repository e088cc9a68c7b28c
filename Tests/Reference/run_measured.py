#!/usr/bin/env python3
"""Runs commands one after the other and tells what each took, by the kernel's own account.

usage: run_measured.py < COMMANDS > RESULTS

COMMANDS is a JSON array of arrays of strings. RESULTS is a JSON array of objects: status (128 + the signal's number for a
command that a signal ended), seconds (wall), peakBytes (the command's largest resident set), output, errors.
A command that takes more than 20 seconds is killed.
"""
import json
import os
import signal
import sys
import tempfile
import time


def run(command):
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            signal.alarm(20)
            try:
                os.execvp(command[0], command)
            finally:
                os._exit(127)
        _, status, usage = os.wait4(child, 0)
        seconds = time.monotonic() - start
        output.seek(0)
        errors.seek(0)
        return {
            "status": 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status),
            "seconds": seconds,
            "peakBytes": usage.ru_maxrss * 1024,
            "output": output.read().decode(errors="replace"),
            "errors": errors.read().decode(errors="replace"),
        }


json.dump([run(command) for command in json.load(sys.stdin)], sys.stdout)
