# SPDX-License-Identifier: Apache-2.0
"""The engine's table functions over foreign tables, as Python rows."""

import json
import os
import subprocess
from pathlib import Path

import pyarrow.parquet as pq


class LakeError(Exception):
    """An error of the engine: its text begins with the SQLSTATE."""


class Engine:
    """One process of ivy_lake_tool over a folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.process = subprocess.Popen([os.environ["IVY_LAKE_TOOL"], str(folder)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.results = 0

    def run(self, sql):
        """The rows of a statement, every value as text."""
        self.process.stdin.write(" ".join(sql.split("\n")) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip("\n")
        if answer.startswith("ok "):
            return json.loads(answer[3:])
        raise LakeError(answer.removeprefix("error ") or f"the engine is gone: {self.process.wait()}")

    def table(self, sql):
        """The result of a query as an Arrow table."""
        self.results += 1
        path = self.folder / f"result{self.results}.parquet"
        self.run(f"COPY ({sql}) TO '{path}' (FORMAT parquet)")
        return pq.ParquetFile(path).read()

    def rows(self, sql):
        """The rows of a query as tuples, sorted."""
        return rows_of(self.table(sql))

    def error(self, sql):
        """The error of a statement that must fail."""
        try:
            self.run(sql)
        except LakeError as error:
            return str(error)
        raise AssertionError("no error: " + sql)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0


def rows_of(table):
    """An Arrow table's rows as tuples in an order of their own; column names must not differ by case only."""
    return sorted((tuple(plain(value) for value in row.values()) for row in table.to_pylist()), key=repr)


def plain(value):
    """A value without what writers differ in: maps are lists of pairs, blobs are bytes, NaN is NaN."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, tuple):
        return tuple(plain(inner) for inner in value)
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, float) and value != value:
        return "NaN"  # which equals itself here
    return value
