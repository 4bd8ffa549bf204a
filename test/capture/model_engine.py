# SPDX-License-Identifier: Apache-2.0
"""A model of the engine's write half, for tests of the capture and copy workers alone: rows in dictionaries, no threads
beyond one per connection, "files" that are pickles. What it does is what the protocol says (src/protocol/messages.h) and
nothing else, so a difference between it and the row table is a fault of capture.

    model_engine.py SOCKET      listens until its standard input closes

Control commands: "status" (JSON), "rows" (JSON: every row of a mirror after "lsn" was applied), "flush".
"""

import decimal
import json
import os
import pickle
import shutil
import socket
import struct
import sys
import threading
import uuid

HELLO, ERROR, OK, CHUNK = 1, 2, 3, 4
OPEN, CLOSE, CHANGES, COMMIT, ABORT, PROGRESS, PUBLISHED, READY = range(20, 28)
FLUSH_READY, FAILED, PERSISTED = 30, 32, 33
COPY_BEGIN, COPY_END = 40, 41
CONTROL, REPLY = 50, 51
WIDTHS = {1: 1, 2: 2, 3: 4, 4: 8, 5: 4, 6: 8, 7: 16, 10: 4, 11: 8, 12: 8, 13: 8, 14: 16, 15: 16}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data), "short message"
        self.at += count
        return self.data[self.at - count:self.at]

    def num(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def blob(self):
        return self.take(self.num("I"))

    def text(self):
        return self.blob().decode()

    def ids(self):
        return [self.num("I") for _ in range(self.num("I"))]

    def snapshot(self):
        xmin, xmax = self.num("Q"), self.num("Q")
        return xmin, xmax, {self.num("Q") for _ in range(self.num("I"))}

    def chunk(self):
        """Rows as tuples."""
        rows, count = self.num("I"), self.num("H")
        columns = []
        for _ in range(count):
            kind, _, scale = self.take(3)
            validity = self.take((rows + 7) // 8) if self.num("B") else None
            if kind in WIDTHS:
                raw = self.take(rows * WIDTHS[kind])
                values = [self.value(kind, scale, raw[i * WIDTHS[kind]:(i + 1) * WIDTHS[kind]]) for i in range(rows)]
            else:
                ends = struct.unpack("<%dI" % rows, self.take(4 * rows))
                data = self.blob()
                values = [data[ends[i - 1] if i else 0:ends[i]] for i in range(rows)]
                values = [v.decode() for v in values] if kind == 8 else values
            columns.append([v if validity is None or validity[i >> 3] >> (i & 7) & 1 else None for i, v in enumerate(values)])
        return [tuple(column[i] for column in columns) for i in range(rows)]

    @staticmethod
    def value(kind, scale, raw):
        if kind == 7:
            return decimal.Decimal(int.from_bytes(raw, "little", signed=True)).scaleb(-scale)
        if kind in (5, 6):
            return struct.unpack("<" + "fd"[kind - 5], raw)[0]
        if kind == 1:
            return bool(raw[0])
        return raw if kind > 13 else int.from_bytes(raw, "little", signed=True)


def text(value):
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def sees(snapshot, xid):
    return xid < snapshot[1] and xid not in snapshot[2]


class Mirror:
    """One open mirror. "rows" is the state after everything applied; keys map to whole rows by column id."""

    def __init__(self, reader):
        self.update(reader)
        self.rows, self.snapshot, self.pending, self.failure = {}, None, [], None
        self.unflushed, self.copying = [], None
        if self.metadata:
            with open(self.metadata, "rb") as file:
                self.rows, self.snapshot = pickle.load(file)

    def update(self, reader):
        self.id = reader.num("I")
        self.schema, self.table = reader.text(), reader.text()
        self.columns = []
        for _ in range(reader.num("I")):
            column, name = reader.num("I"), reader.text()
            kind = reader.take(3)
            self.columns.append((column, name, kind, reader.num("B")))
        self.key = reader.ids()
        self.location, self.metadata, self.flushed = reader.text(), reader.text(), reader.num("Q")
        reader.num("B"), reader.snapshot(), reader.num("B"), reader.ids()

    def key_of(self, row):
        return tuple(row[k] for k in self.key)

    def apply(self, parts, xid, commit_lsn):
        if commit_lsn <= self.flushed or self.failure:
            return
        if self.snapshot is None:
            self.pending.append((parts, xid, commit_lsn))
        elif not sees(self.snapshot, xid):
            for part in parts:
                self.apply_part(part)
            self.unflushed.append(commit_lsn)

    def apply_part(self, part):
        rows, keys = iter(part["rows"]), iter(part["keys"])
        unchanged = {}
        for row, column in part["unchanged"]:
            unchanged.setdefault(row, []).append(part["columns"][column])
        ordinal = 0
        for op in part["ops"].decode():
            old = None
            if op in "DU":
                key = next(keys)
                old = self.rows.pop(key, None)
                if old is None:
                    raise ValueError("key %r of a %s is not there" % (key, op))
            if op in "IU":
                row = dict(zip(part["columns"], next(rows)))
                for column in unchanged.get(ordinal, ()):
                    row[column] = old[column]
                ordinal += 1
                key = self.key_of(row)
                if key in self.rows:
                    raise ValueError("key %r is there already" % (key,))
                self.rows[key] = row
            elif op == "T":
                self.rows.clear()
            elif op != "D":
                raise ValueError("operation %r" % op)
        assert next(rows, None) is None and next(keys, None) is None


class Engine:
    def __init__(self):
        self.lock = threading.Condition()
        self.mirrors, self.stage, self.applied, self.xmin = {}, {}, 0, 0
        self.capture, self.counts = None, {}

    # --- capture ---

    def send(self, kind, payload=b""):
        try:
            if self.capture:
                self.capture.sendall(struct.pack("<IB", len(payload) + 1, kind) + payload)
        except OSError:
            self.capture = None  # its own thread finds out too

    def fail(self, mirror, message):
        mirror.failure = message
        self.send(FAILED, struct.pack("<I", mirror.id) + text("XX000") + text(message) + text("") + text("") + struct.pack("<I", 0))

    def capture_message(self, kind, reader):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == OPEN:
            known = self.mirrors.get(struct.unpack_from("<I", reader.data)[0])
            if known:
                flushed, metadata = known.flushed, known.metadata
                known.update(reader)
                known.flushed, known.metadata = flushed, metadata
            else:
                mirror = Mirror(reader)
                self.mirrors[mirror.id] = mirror
        elif kind == CLOSE:
            mirror, remove, location = reader.num("I"), reader.num("B"), reader.text()
            if remove:
                shutil.rmtree(location, ignore_errors=True)
            if not remove or (mirror in self.mirrors and self.mirrors[mirror].location == location):
                self.mirrors.pop(mirror, None)
        elif kind == CHANGES:
            part = {"mirror": reader.num("I"), "xid": reader.num("Q"), "subxid": reader.num("Q"), "ops": reader.blob()}
            part["unchanged"] = [(reader.num("I"), reader.num("I")) for _ in range(reader.num("I"))]
            part["inexact"] = reader.ids()
            part["rows"], part["keys"] = Reader(reader.blob()).chunk(), Reader(reader.blob()).chunk()
            part["columns"] = reader.ids()
            self.stage.setdefault(part["xid"], []).append(part)
        elif kind == COMMIT:
            xid, commit_lsn = reader.num("Q"), reader.num("Q")
            parts = self.stage.pop(xid, [])
            for mirror in self.mirrors.values():
                mine = [part for part in parts if part["mirror"] == mirror.id]
                if mine:
                    try:
                        mirror.apply(mine, xid, commit_lsn)
                    except ValueError as error:
                        self.fail(mirror, str(error))
        elif kind == ABORT:
            xid, subxid = reader.num("Q"), reader.num("Q")
            if xid == subxid:
                self.stage.pop(xid, None)
            else:
                self.stage[xid] = [part for part in self.stage.get(xid, []) if part["subxid"] != subxid]
        elif kind == PROGRESS:
            lsn, self.xmin = reader.num("Q"), reader.num("Q")
            assert lsn >= self.applied, "progress went back"
            self.applied = lsn
            waiting = [m.unflushed[0] for m in self.mirrors.values() if m.unflushed]
            waiting += [m.pending[0][2] for m in self.mirrors.values() if m.pending]
            self.send(PERSISTED, struct.pack("<Q", min(waiting + [lsn])))
        elif kind == PUBLISHED:
            mirror = self.mirrors.get(reader.num("I"))
            location = reader.text()
            if mirror and mirror.copying and mirror.copying[0] == location:
                _, mirror.flushed = mirror.copying
                mirror.metadata, mirror.copying = location, None
                mirror.unflushed = [lsn for lsn in mirror.unflushed if lsn > mirror.flushed]
        self.lock.notify_all()

    def flush(self, mirror, first=False):
        """Announces the mirror's present state as files."""
        if mirror.copying or mirror.snapshot is None or mirror.failure:
            return
        location = "%s/metadata/%s.pickle" % (mirror.location, uuid.uuid4())
        os.makedirs(os.path.dirname(location), exist_ok=True)
        with open(location, "wb") as file:
            pickle.dump((mirror.rows, mirror.snapshot), file)
        flushed = max(mirror.unflushed + [mirror.flushed])
        mirror.copying = (location, flushed)
        xmin, xmax, xip = mirror.snapshot
        snapshot = struct.pack("<QQI", xmin, xmax, len(xip)) + b"".join(struct.pack("<Q", x) for x in sorted(xip))
        self.send(FLUSH_READY, struct.pack("<I", mirror.id) + text(location) + text(mirror.metadata) + struct.pack("<QB", flushed, first)
                  + snapshot + struct.pack("<QQ", len(mirror.rows), 0))

    # --- connections ---

    def serve(self, connection):
        buffer = b""
        role, copy = None, None

        def reply(kind, payload=b""):
            connection.sendall(struct.pack("<IB", len(payload) + 1, kind) + payload)

        try:
            while True:
                data = connection.recv(1 << 20)
                if not data:
                    break
                buffer += data
                at = 0
                while len(buffer) - at >= 4:
                    size = struct.unpack_from("<I", buffer, at)[0]
                    if len(buffer) - at - 4 < size:
                        break
                    kind, reader = buffer[at + 4], Reader(buffer[at + 5:at + 4 + size])
                    at += 4 + size
                    with self.lock:
                        if kind == HELLO:
                            reader.num("I"), reader.num("H")
                            role = reader.num("B")
                            reply(OK)
                            if role == 2:
                                self.mirrors, self.stage, self.applied, self.capture = {}, {}, 0, connection
                        elif role == 2:
                            self.capture_message(kind, reader)
                        elif role == 3:
                            copy = self.copy_message(kind, reader, copy, reply)
                        elif role == 4:
                            self.control(reader, reply)
                buffer = buffer[at:]
        except ConnectionError:
            pass
        except Exception as error:  # noqa: BLE001  said, and the connection ends
            print("model engine: %s: %s" % (type(error).__name__, error), file=sys.stderr, flush=True)
            raise
        finally:
            connection.close()
            with self.lock:
                if self.capture is connection:
                    self.capture = None

    def copy_message(self, kind, reader, copy, reply):
        if kind == COPY_BEGIN:
            mirror = self.mirrors.get(reader.num("I"))
            snapshot = reader.snapshot()
            reader.num("Q")
            columns = reader.ids()
            if mirror is None or mirror.snapshot is not None or [c[0] for c in mirror.columns] != columns:
                reply(ERROR, text("55000") + text("not ready") + text("") + text("") + b"\x01")
                return None
            return mirror, snapshot, columns, {}
        if copy is None:
            return None
        mirror, snapshot, columns, rows = copy
        if kind == CHUNK:
            for row in reader.chunk():
                row = dict(zip(columns, row))
                assert mirror.key_of(row) not in rows
                rows[mirror.key_of(row)] = row
        elif kind == COPY_END:
            mirror.rows, mirror.snapshot = rows, snapshot
            pending, mirror.pending = mirror.pending, []
            self.flush(mirror, first=True)
            for parts, xid, lsn in pending:
                mirror.apply(parts, xid, lsn)
            reply(OK)
        return copy

    def control(self, reader, reply):
        command, mirror, lsn = reader.text(), self.mirrors.get(reader.num("I")), reader.num("Q")
        if not self.lock.wait_for(lambda: self.applied >= lsn, 60):
            reply(REPLY, text(json.dumps({"error": "applied only %x" % self.applied})))
        elif command == "rows":
            rows = [[None if row.get(c[0]) is None else str(row[c[0]]) for c in mirror.columns] for row in mirror.rows.values()]
            reply(REPLY, text(json.dumps({"failure": mirror.failure, "copied": mirror.snapshot is not None, "rows": sorted(rows, key=str)})))
        elif command == "flush":
            self.flush(mirror)
            reply(REPLY, text("{}"))
        else:
            reply(REPLY, text(json.dumps({"applied": self.applied, "xmin": self.xmin, "staged": len(self.stage), "counts": self.counts,
                                          "mirrors": {m.id: {"failure": m.failure, "copied": m.snapshot is not None,
                                                             "columns": [c[1] for c in m.columns], "flushed": m.flushed}
                                                      for m in self.mirrors.values()}})))


def main():
    path = sys.argv[1]
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    engine = Engine()

    def accept():
        while True:
            threading.Thread(target=engine.serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
