# SPDX-License-Identifier: Apache-2.0
"""A table that our library commits to and pyiceberg reads, with a model of what it must contain."""

import json
import os
import subprocess
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.conversions import to_bytes
from pyiceberg.table import StaticTable
from pyiceberg.types import LongType, StringType

SCHEMA = {
    "type": "struct",
    "schema-id": 0,
    "fields": [
        {"id": 1, "name": "id", "required": True, "type": "long"},
        {"id": 2, "name": "name", "required": False, "type": "string"},
        {"id": 3, "name": "price", "required": False, "type": "decimal(10,2)"},
    ],
}
ARROW_FIELDS = [("id", pa.int64(), 1), ("name", pa.string(), 2), ("price", pa.decimal128(10, 2), 3)]


def tool(command, request):
    """Runs ivy_iceberg_tool."""
    run = subprocess.run([os.environ["IVY_ICEBERG_TOOL"], command], input=json.dumps(request), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def arrow_schema(fields):
    return pa.schema([pa.field(name, kind, metadata={"PARQUET:field_id": str(id)}) for name, kind, id in fields])


def write_parquet(path, fields, rows):
    """Writes rows (tuples) and returns the file as the tool's changes take it, without metrics."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(zip(*rows)) if rows else [[] for _ in fields]
    table = pa.table([pa.array(column, kind) for column, (_, kind, _) in zip(columns, fields)], schema=arrow_schema(fields))
    pq.write_table(table, path)
    return {"path": str(path), "record_count": len(rows), "file_size": path.stat().st_size}


def metrics(rows):
    """Counts and bounds of the columns of SCHEMA, the bounds by pyiceberg's own serialization."""
    names = [row[1] for row in rows if row[1] is not None]
    counts = {str(id): len(rows) for id in (1, 2, 3)}
    nulls = {str(id): sum(row[id - 1] is None for row in rows) for id in (1, 2, 3)}
    lower = {"1": to_bytes(LongType(), min(row[0] for row in rows)).hex()}
    upper = {"1": to_bytes(LongType(), max(row[0] for row in rows)).hex()}
    if names:
        lower["2"] = to_bytes(StringType(), min(names)).hex()
        upper["2"] = to_bytes(StringType(), max(names)).hex()
    return {"value_counts": counts, "null_value_counts": nulls, "lower_bounds": lower, "upper_bounds": upper}


class Mirror:
    """A table in a folder, and beside it the rows that it must have: path -> {position: row}."""

    def __init__(self, folder, version):
        self.folder = Path(folder)
        self.version = version
        self.rows = {}
        self.deleted = {}
        self.metadata = tool("create", {"location": str(self.folder), "version": version, "schema": SCHEMA})["metadata"]

    def new_file(self, rows, with_metrics=True):
        """A data file for a change's "added"."""
        file = write_parquet(self.folder / "data" / f"{uuid.uuid4()}.parquet", ARROW_FIELDS, rows)
        self.rows[file["path"]] = dict(enumerate(rows))
        return file | (metrics(rows) if with_metrics and rows else {})

    def deletes(self, positions):
        """What a change needs to delete rows: {path: positions}, for version 3 the whole vector, for 2 what is new."""
        vectors, files = {}, []
        for path, new in positions.items():
            for position in new:
                del self.rows[path][position]
            self.deleted.setdefault(path, set()).update(new)
            vectors[path] = sorted(self.deleted[path])
            if self.version == 2:
                fields = [("file_path", pa.string(), 2147483546), ("pos", pa.int64(), 2147483545)]
                target = self.folder / "data" / f"{uuid.uuid4()}-deletes.parquet"
                file = write_parquet(target, fields, [(path, position) for position in sorted(new)])
                files.append(file | {"content": 1, "referenced_data_file": path})
        return {"position_deletes": files} if self.version == 2 else {"deletes": vectors}

    def remove(self, path):
        del self.rows[path]
        self.deleted.pop(path, None)
        return path

    def commit(self, *changes, delete_expired=False):
        answer = tool("commit", {"metadata": self.metadata, "changes": changes, "delete_expired": delete_expired})
        self.metadata = answer["metadata"]
        return answer["expired"]

    def expected(self):
        return sorted(row for rows in self.rows.values() for row in rows.values())

    def table(self):
        return StaticTable.from_metadata(self.metadata)

    def check(self):
        """Compares every row that pyiceberg reads, and the count that it derives from metadata."""
        table = self.table()
        read = table.scan().to_arrow()
        assert rows_of(read) == self.expected()
        assert table.scan().count() == len(self.expected())


def rows_of(table):
    return sorted(tuple(row.values()) for row in table.to_pylist())


@pytest.fixture(params=[2, 3], ids=["v2", "v3"])
def mirror(request, tmp_path):
    return Mirror(tmp_path / "table", request.param)


@pytest.fixture
def mirror_v3(tmp_path):
    return Mirror(tmp_path / "table", 3)
