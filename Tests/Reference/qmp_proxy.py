#!/usr/bin/env python3
"""A proxy between a client and QEMU's QMP, which disturbs them by rules.

    qmp_proxy.py LISTEN TARGET RULES
    qmp_proxy.py --before RULES QEMU ARGUMENTS...

Listens at the Unix socket LISTEN, and passes each client on to the one at TARGET, descriptors included. Or becomes QEMU, with the proxy, a
process of its own, between it and whoever has started it: at the monitor that `mapped-ram restore` adds to QEMU's arguments. RULES is a
JSON list of objects:

    command   the QMP command that the rule is about
    nth       which of these commands, counted over all clients from 1; left out: each
    first     how many of them, from the first on; left out: no such limit
    do        pass (by default), drop (QEMU never hears of it), refuse (an error comes back), close (the client's connection ends), late
              (QEMU hears of it at once, and what it says is held back for the seconds), kill (QEMU is killed, with --before)
    before    QMP commands, each [name, arguments], that another client carries out before
    actor     the socket of that client
    reached   a file that is made then
    seconds   how long to wait after that, before the command is dealt with, unless the client goes meanwhile
    until     a file that ends the wait once it is there
"""
import json
import os
import re
import select
import signal
import socket
import sys
import threading
import time


REFUSAL = "refused by the proxy"


class Client:
    """Another client of QEMU."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r")
        self.lines.readline()
        self.execute("qmp_capabilities", {})

    def execute(self, name, arguments):
        self.socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        for line in self.lines:
            answer = json.loads(line)
            if "return" in answer or "error" in answer:
                return answer
        raise EOFError(name)


class Rules:
    def __init__(self, rules, qemu=None):
        self.rules = rules
        self.qemu = qemu
        self.counts = {}
        self.lock = threading.Lock()

    def find(self, name):
        """The rule for this command, which is counted."""
        with self.lock:
            self.counts[name] = count = self.counts.get(name, 0) + 1
        for rule in self.rules:
            if rule["command"] == name and rule.get("nth", count) == count <= rule.get("first", count):
                return rule
        return {}


class Answers:
    """What QEMU says to one client, and since when."""

    def __init__(self):
        self.since = 0

    def pass_on(self, target, client):
        """Passes all of it on."""
        try:
            while data := target.recv(65536):
                while (left := self.since - time.monotonic()) > 0:
                    time.sleep(min(left, 0.1))
                client.sendall(data)
        except OSError:
            pass
        end(client)


def hangs_up(client, rule):
    """Waits as the rule says. Whether the client goes meanwhile."""
    poll = select.poll()
    poll.register(client, select.POLLRDHUP)
    end = time.monotonic() + rule.get("seconds", 0)
    while True:
        left = end - time.monotonic()
        if left <= 0 or "until" in rule and os.path.exists(rule["until"]):
            return bool(poll.poll(0))
        if poll.poll(min(left, 0.01 if "until" in rule else left) * 1000):
            return True


def forward(client, target, rules, answers):
    """Passes commands on, line by line. A line's descriptors come with its first bytes."""
    rest, descriptors = b"", []
    while True:
        data, more, _, _ = socket.recv_fds(client, 65536, 16)
        if not data:
            return
        descriptors += more
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            try:
                request = json.loads(line)
            except ValueError:
                # What ends QEMU whatever was said before.
                request = {}
            rule = rules.find(request.get("execute", ""))
            if "before" in rule:
                other = Client(rule["actor"])
                for name, arguments in rule["before"]:
                    other.execute(name, arguments)
                other.socket.close()
            if "reached" in rule:
                open(rule["reached"], "w").close()
            what = rule.get("do", "pass")
            if what == "late":
                answers.since = time.monotonic() + rule["seconds"]
                what = "pass"
            elif hangs_up(client, rule):
                return
            if what == "close":
                return
            if what == "kill":
                os.kill(rules.qemu, signal.SIGKILL)
                return
            if what == "refuse" and request["execute"] == "qmp_capabilities":
                error = {"class": "GenericError", "desc": REFUSAL}
                client.sendall(json.dumps({"error": error, "id": request.get("id")}).encode() + b"\r\n")
            elif what == "refuse":
                # By QEMU itself, which answers in order: there is no such object.
                other = {"execute": "object-del", "arguments": {"id": REFUSAL}, "id": request.get("id")}
                target.sendall(json.dumps(other).encode() + b"\n")
            elif what == "pass":
                socket.send_fds(target, [line + b"\n"], descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            descriptors = []


def end(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def serve(client, path, rules):
    target = socket.socket(socket.AF_UNIX)
    try:
        target.connect(path)
    except OSError:
        return end(client)
    connect(client, target, rules)


def connect(client, target, rules):
    """Passes on what each says, until one of them ends."""
    try:
        answers = Answers()
        threading.Thread(target=answers.pass_on, args=(target, client), daemon=True).start()
        forward(client, target, rules, answers)
    except OSError:
        pass
    end(target)
    end(client)


def become(rules, words):
    """Becomes QEMU. What the proxy itself does not need it does not keep open."""
    index = next(i for i, word in enumerate(words) if "id=mapped-ram-control,fd=" in word)
    ours, theirs = socket.socketpair()
    client = socket.socket(fileno=int(re.search("fd=([0-9]+)", words[index])[1]))
    qemu = os.getpid()
    if os.fork() == 0:
        os.setsid()
        kept = (client.fileno(), ours.fileno())
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            if descriptor not in kept:
                try:
                    os.close(descriptor)
                except OSError:
                    # The one by which the directory was read.
                    pass
        connect(client, ours, Rules(rules, qemu))
        os._exit(0)
    client.close()
    os.set_inheritable(theirs.fileno(), True)
    words[index] = re.sub("fd=[0-9]+", f"fd={theirs.fileno()}", words[index])
    os.execvp(words[0], words)


def main():
    if sys.argv[1] == "--before":
        become(json.loads(sys.argv[2]), sys.argv[3:])
    listen, target, rules = sys.argv[1:]
    rules = Rules(json.loads(rules))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(listen)
    listener.listen(8)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, target, rules), daemon=True).start()


main()
