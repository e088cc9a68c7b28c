#!/usr/bin/env python3
"""A proxy between a client and QEMU's QMP, which disturbs them by rules.

    qmp_proxy.py LISTEN TARGET RULES

Listens at the Unix socket LISTEN, and passes each client on to the one at TARGET, descriptors included. RULES is a JSON list of objects:

    command   the QMP command that the rule is about
    nth       which of these commands, counted over all clients from 1; left out: each
    first     how many of them, from the first on; left out: no such limit
    do        pass (by default), drop (QEMU never hears of it), refuse (an error comes back), close (the client's connection ends)
    before    QMP commands, each [name, arguments], that another client carries out before
    actor     the socket of that client
    reached   a file that is made then
    seconds   how long to wait after that, before the command is dealt with, unless the client goes meanwhile
    until     a file that ends the wait once it is there
"""
import json
import os
import select
import socket
import sys
import threading
import time


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
    def __init__(self, rules):
        self.rules = rules
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


def forward(client, target, rules):
    """Passes commands on, line by line. A line's descriptors come with its first bytes."""
    rest, descriptors = b"", []
    while True:
        data, more, _, _ = socket.recv_fds(client, 65536, 16)
        if not data:
            return
        descriptors += more
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            rule = rules.find(request.get("execute", ""))
            if "before" in rule:
                other = Client(rule["actor"])
                for name, arguments in rule["before"]:
                    other.execute(name, arguments)
                other.socket.close()
            if "reached" in rule:
                open(rule["reached"], "w").close()
            if hangs_up(client, rule):
                return
            what = rule.get("do", "pass")
            if what == "close":
                return
            if what == "refuse":
                error = {"class": "GenericError", "desc": "refused by the proxy"}
                client.sendall(json.dumps({"error": error, "id": request.get("id")}).encode() + b"\r\n")
            elif what == "pass":
                socket.send_fds(target, [line + b"\n"], descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            descriptors = []


def back(target, client):
    """Passes all that QEMU says."""
    try:
        while data := target.recv(65536):
            client.sendall(data)
    except OSError:
        pass
    end(client)


def end(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def serve(client, path, rules):
    target = socket.socket(socket.AF_UNIX)
    try:
        target.connect(path)
        threading.Thread(target=back, args=(target, client), daemon=True).start()
        forward(client, target, rules)
    except OSError:
        pass
    end(target)
    end(client)


def main():
    listen, target, rules = sys.argv[1:]
    rules = Rules(json.loads(rules))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(listen)
    listener.listen(8)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, target, rules), daemon=True).start()


main()
