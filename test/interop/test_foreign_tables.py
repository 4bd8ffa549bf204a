# SPDX-License-Identifier: Apache-2.0
"""Our library reads, and goes on with, tables that pyiceberg wrote."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import rows_of, tool
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import StaticTable
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DateType, IntegerType, ListType, LongType, NestedField, StringType

NESTED = Schema(
    NestedField(1, "id", LongType(), required=False),
    NestedField(2, "city", StringType(), required=False),
    NestedField(3, "day", DateType(), required=False),
    NestedField(4, "tags", ListType(5, IntegerType(), element_required=False), required=False),
)


@pytest.fixture
def catalog(tmp_path):
    catalog = SqlCatalog("foreign", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    catalog.create_namespace("ns")
    return catalog


def batch(first, count):
    import datetime
    return pa.table({
        "id": pa.array(range(first, first + count), pa.int64()),
        "city": pa.array([("Köln", "Rom", None)[i % 3] for i in range(count)], pa.string()),
        "day": pa.array([datetime.date(2024, 1, 1 + i % 2) for i in range(count)], pa.date32()),
        "tags": pa.array([[i] for i in range(count)], pa.list_(pa.int32())),
    })


def compare(table):
    """Our list of live files against pyiceberg's plan."""
    ours = tool("dump", {"metadata": table.metadata_location})
    theirs = {task.file.file_path: task.file for task in table.scan().plan_files()}
    assert {file["path"] for file in ours["data_files"]} == set(theirs)
    for file in ours["data_files"]:
        other = theirs[file["path"]]
        assert file["record_count"] == other.record_count
        assert file["file_size"] == other.file_size_in_bytes
        assert {int(id): bytes.fromhex(value) for id, value in file["lower_bounds"].items()} == dict(other.lower_bounds or {})
        assert {int(id): bytes.fromhex(value) for id, value in file["upper_bounds"].items()} == dict(other.upper_bounds or {})
        assert {int(id): value for id, value in file["null_value_counts"].items()} == dict(other.null_value_counts or {})
    return ours


@pytest.mark.parametrize("version", ["1", "2"])
def test_unpartitioned(catalog, version):
    table = catalog.create_table("ns.t", NESTED, properties={"format-version": version})
    assert compare(table)["data_files"] == []
    table.append(batch(0, 100))
    table.append(batch(100, 100))
    table.delete("id < 30")  # rewrites a file
    table.delete("id >= 100")  # removes one
    ours = compare(table)
    assert len(ours["data_files"]) == 1
    assert ours["version"] == int(version)


@pytest.mark.parametrize("version", ["1", "2"])
def test_partitioned(catalog, version):
    spec = PartitionSpec(
        PartitionField(2, 1000, IdentityTransform(), "city"), PartitionField(3, 1001, IdentityTransform(), "day"))
    table = catalog.create_table("ns.p", NESTED, partition_spec=spec, properties={"format-version": version})
    table.append(batch(0, 12))
    ours = compare(table)
    assert len(ours["data_files"]) == 6
    cities = {json.loads(file["partition"])["1000"] for file in ours["data_files"]}
    assert cities == {"Köln", "Rom", None}
    assert {json.loads(file["partition"])["1001"] for file in ours["data_files"]} == {19723, 19724}


def test_we_go_on_where_pyiceberg_stopped(catalog, tmp_path):
    table = catalog.create_table("ns.g", NESTED, properties={"format-version": "2", "owner": "them"})
    table.append(batch(0, 10))
    table.append(batch(10, 10))
    removed = next(task.file.file_path for task in table.scan().plan_files() if task.file.lower_bounds[1][0] == 0)
    path = tmp_path / "ours.parquet"
    data = batch(100, 5)
    ids = {"id": 1, "city": 2, "day": 3, "tags": 4}
    fields = [field.with_metadata({"PARQUET:field_id": str(ids[field.name])}) for field in data.schema]
    fields[3] = pa.field("tags", pa.list_(pa.field("element", pa.int32(), metadata={"PARQUET:field_id": "5"})),
                         metadata={"PARQUET:field_id": "4"})
    pq.write_table(data.cast(pa.schema(fields)), path)
    added = {"path": str(path), "record_count": 5, "file_size": path.stat().st_size}
    answer = tool("commit", {"metadata": table.metadata_location, "changes": [{"added": [added], "removed": [removed]}]})
    read = StaticTable.from_metadata(answer["metadata"])
    assert sorted(read.scan().to_arrow()["id"].to_pylist()) == [*range(10, 20), *range(100, 105)]
    assert read.properties["owner"] == "them"
    assert len(read.metadata.snapshots) == 3
    assert rows_of(read.scan(snapshot_id=table.current_snapshot().snapshot_id).to_arrow().select(["id"])) == [(i,) for i in range(20)]
    assert Path(answer["metadata"].removeprefix("file://")).name.startswith("00003-")
    compare(read)
