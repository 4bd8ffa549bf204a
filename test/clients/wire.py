# SPDX-License-Identifier: Apache-2.0
"""A client that speaks the wire protocol message by message, for what drivers do below their interfaces: portals with row
limits (JDBC's fetch size), several portals at once, named statements, binary and text in one result."""

import socket
import struct


class Wire:
    def __init__(self, path, user="postgres", database="postgres"):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.buffer = b""
        body = struct.pack("!i", 196608) + b"".join(w.encode() + b"\0" for w in ("user", user, "database", database)) + b"\0"
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self.until(b"Z")

    def close(self):
        self.send(b"X")
        self.socket.close()

    def send(self, kind, body=b""):
        self.socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def parse(self, name, text, types=()):
        self.send(b"P", name.encode() + b"\0" + text.encode() + b"\0" + struct.pack("!h", len(types)) + b"".join(struct.pack("!I", t) for t in types))

    def bind(self, portal, name, values=(), formats=(), results=()):
        body = portal.encode() + b"\0" + name.encode() + b"\0"
        body += struct.pack("!h", len(formats)) + b"".join(struct.pack("!h", f) for f in formats) + struct.pack("!h", len(values))
        for value in values:
            body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
        self.send(b"B", body + struct.pack("!h", len(results)) + b"".join(struct.pack("!h", f) for f in results))

    def execute(self, portal, limit=0):
        self.send(b"E", portal.encode() + b"\0" + struct.pack("!i", limit))

    def describe(self, kind, name):
        self.send(b"D", kind + name.encode() + b"\0")

    def sync(self):
        self.send(b"S")

    def query(self, text):
        self.send(b"Q", text.encode() + b"\0")
        return self.until(b"Z")

    def read(self, count):
        while len(self.buffer) < count:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the server closed the connection")
            self.buffer += data
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def message(self):
        kind = self.read(1)
        return kind, self.read(struct.unpack("!i", self.read(4))[0] - 4)

    def until(self, *kinds):
        """All messages up to the first of one of these kinds."""
        messages = []
        while not messages or messages[-1][0] not in kinds:
            messages.append(self.message())
        return messages


def data(messages):
    """The rows among messages: lists of bytes or None."""
    found = []
    for kind, body in messages:
        if kind != b"D":
            continue
        at, row = 2, []
        for _ in range(struct.unpack("!h", body[:2])[0]):
            length = struct.unpack("!i", body[at:at + 4])[0]
            at += 4
            row.append(None if length < 0 else body[at:at + length])
            at += max(length, 0)
        found.append(row)
    return found


def errors(messages):
    """SQLSTATEs of the errors among messages."""
    return [dict((f[:1], f[1:]) for f in body.split(b"\0") if f)[b"C"].decode() for kind, body in messages if kind == b"E"]
