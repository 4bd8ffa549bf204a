# SPDX-License-Identifier: Apache-2.0
"""The files themselves against the specification: field ids and types of manifests, metadata members, Puffin, bounds."""

import decimal
import json
import struct
import uuid
import zlib
from decimal import Decimal
from pathlib import Path

import fastavro
import pytest
from conftest import tool
from pyiceberg.conversions import to_bytes
from pyiceberg.types import (
    BinaryType, BooleanType, DateType, DecimalType, DoubleType, FixedType, FloatType, IntegerType, LongType, StringType,
    TimestampType, TimestamptzType, TimeType, UUIDType,
)

# Field ids, types and whether they are required, by the specification's tables.
MANIFEST_LIST = {
    500: ("manifest_path", "string", True), 501: ("manifest_length", "long", True), 502: ("partition_spec_id", "int", True),
    517: ("content", "int", True), 515: ("sequence_number", "long", True), 516: ("min_sequence_number", "long", True),
    503: ("added_snapshot_id", "long", True), 504: ("added_files_count", "int", True),
    505: ("existing_files_count", "int", True), 506: ("deleted_files_count", "int", True),
    512: ("added_rows_count", "long", True), 513: ("existing_rows_count", "long", True),
    514: ("deleted_rows_count", "long", True), 507: ("partitions", "array", False), 519: ("key_metadata", "bytes", False),
}
MANIFEST_LIST_V3 = {520: ("first_row_id", "long", False)}
ENTRY = {
    0: ("status", "int", True), 1: ("snapshot_id", "long", False), 3: ("sequence_number", "long", False),
    4: ("file_sequence_number", "long", False), 2: ("data_file", "record", True),
}
DATA_FILE = {
    134: ("content", "int", True), 100: ("file_path", "string", True), 101: ("file_format", "string", True),
    102: ("partition", "record", True), 103: ("record_count", "long", True), 104: ("file_size_in_bytes", "long", True),
    108: ("column_sizes", (117, 118, "long"), False), 109: ("value_counts", (119, 120, "long"), False),
    110: ("null_value_counts", (121, 122, "long"), False), 137: ("nan_value_counts", (138, 139, "long"), False),
    125: ("lower_bounds", (126, 127, "bytes"), False), 128: ("upper_bounds", (129, 130, "bytes"), False),
    131: ("key_metadata", "bytes", False), 132: ("split_offsets", "array", False), 135: ("equality_ids", "array", False),
    140: ("sort_order_id", "int", False), 143: ("referenced_data_file", "string", False),
}
DATA_FILE_V3 = {
    142: ("first_row_id", "long", False), 144: ("content_offset", "long", False), 145: ("content_size_in_bytes", "long", False),
}


def check_record(record, expected):
    """Compares a record schema's fields with {id: (name, type, required)}."""
    assert {field["field-id"] for field in record["fields"]} == set(expected)
    for field in record["fields"]:
        name, kind, required = expected[field["field-id"]]
        assert field["name"] == name
        actual = field["type"]
        if not required:
            assert actual[0] == "null" and len(actual) == 2 and field["default"] is None
            actual = actual[1]
        if isinstance(kind, tuple):  # a map: an array of key-value records
            assert actual["type"] == "array" and actual["logicalType"] == "map"
            key, value = actual["items"]["fields"]
            assert (key["name"], key["type"], key["field-id"]) == ("key", "int", kind[0])
            assert (value["name"], value["type"], value["field-id"]) == ("value", kind[2], kind[1])
        elif isinstance(actual, dict):
            assert actual["type"] == kind
            if kind == "array":
                assert actual["element-id"] == {"partitions": 508, "split_offsets": 133, "equality_ids": 136}[name]
        else:
            assert actual == kind


def read_avro(path):
    with open(path, "rb") as file:
        reader = fastavro.reader(file)
        schema = json.loads(reader.metadata["avro.schema"])
        return schema, reader.metadata, list(reader)


@pytest.fixture
def committed(mirror):
    rows = [(i, f"n{i}", Decimal(i)) for i in range(100)]
    first = mirror.new_file(rows)
    mirror.commit({"added": [first | {"split_offsets": [4]}]})
    mirror.commit({"added": [mirror.new_file(rows)], **mirror.deletes({first["path"]: [1, 2]})})
    mirror.commit({"removed": [mirror.remove(first["path"])]})
    return mirror


def test_manifests(committed):
    v3 = committed.version == 3
    metadata = json.loads(Path(committed.metadata).read_text())
    next_row_id = 0
    for snapshot in metadata["snapshots"]:
        schema, header, manifests = read_avro(snapshot["manifest-list"])
        check_record(schema, MANIFEST_LIST | (MANIFEST_LIST_V3 if v3 else {}))
        assert header["format-version"] == str(committed.version)
        assert header["snapshot-id"] == str(snapshot["snapshot-id"])
        assert header["sequence-number"] == str(snapshot["sequence-number"])
        if v3:
            assert snapshot["first-row-id"] == next_row_id
            next_row_id += snapshot["added-rows"]
        for manifest in manifests:
            assert Path(manifest["manifest_path"]).stat().st_size == manifest["manifest_length"]
            assert manifest["min_sequence_number"] <= manifest["sequence_number"] <= snapshot["sequence-number"]
            check_manifest(manifest, v3)
    if v3:
        assert metadata["next-row-id"] == next_row_id == 200


def check_manifest(manifest, v3):
    schema, header, entries = read_avro(manifest["manifest_path"])
    check_record(schema, ENTRY)
    data_file = next(field["type"] for field in schema["fields"] if field["field-id"] == 2)
    check_record(data_file, DATA_FILE | (DATA_FILE_V3 if v3 else {}))
    assert header["content"] == ("deletes" if manifest["content"] == 1 else "data")
    assert header["format-version"] == ("3" if v3 else "2")
    assert header["partition-spec"] == "[]" and header["partition-spec-id"] == "0"
    assert {field["id"] for field in json.loads(header["schema"])["fields"]} == {1, 2, 3}
    assert json.loads(header["schema"])["schema-id"] == int(header["schema-id"])
    counts = [manifest[f"{kind}_files_count"] for kind in ("existing", "added", "deleted")]
    assert [sum(entry["status"] == status for entry in entries) for status in range(3)] == counts
    if v3:
        assert (manifest["first_row_id"] is None) == (manifest["content"] == 1)
    for entry in entries:
        file = entry["data_file"]
        assert entry["snapshot_id"] is not None
        # Deletes are positions, never equal values; in version 3 they are deletion vectors and nothing else.
        assert file["content"] == manifest["content"] and not file.get("equality_ids")
        assert file["file_format"] == ("PUFFIN" if v3 and file["content"] == 1 else "PARQUET")
        if entry["status"] == 1:  # inherited
            assert entry["sequence_number"] is None and entry["file_sequence_number"] is None
            assert file.get("first_row_id") is None
        else:
            assert entry["sequence_number"] is not None and entry["file_sequence_number"] is not None
            if v3 and file["content"] == 0:
                assert file["first_row_id"] is not None
        if file["file_format"] == "PUFFIN":
            check_vector(file)
        else:
            assert Path(file["file_path"]).stat().st_size == file["file_size_in_bytes"]


def check_vector(file):
    """A deletion vector's blob and the Puffin file around it, byte by byte."""
    content = Path(file["file_path"]).read_bytes()
    assert len(content) == file["file_size_in_bytes"]
    assert content[:4] == content[-4:] == b"PFA1"
    size, flags = struct.unpack("<iI", content[-12:-4])
    assert flags == 0
    assert content[-12 - size - 4:-12 - size] == b"PFA1"
    footer = json.loads(content[-12 - size:-12])
    blob = next(b for b in footer["blobs"] if b["properties"]["referenced-data-file"] == file["referenced_data_file"])
    assert blob["type"] == "deletion-vector-v1"
    assert blob["snapshot-id"] == blob["sequence-number"] == -1
    assert "compression-codec" not in blob
    assert blob["offset"] == file["content_offset"] and blob["length"] == file["content_size_in_bytes"]
    assert blob["properties"]["cardinality"] == str(file["record_count"])
    vector = content[blob["offset"]:blob["offset"] + blob["length"]]
    assert struct.unpack(">I", vector[:4])[0] == len(vector) - 8
    assert vector[4:8] == b"\xd1\xd3\x39\x64"
    assert struct.unpack(">I", vector[-4:])[0] == zlib.crc32(vector[4:-4])


def test_metadata(committed):
    metadata = json.loads(Path(committed.metadata).read_text())
    required = ["format-version", "table-uuid", "location", "last-sequence-number", "last-updated-ms", "last-column-id", "schemas",
                "current-schema-id", "partition-specs", "default-spec-id", "last-partition-id", "sort-orders",
                "default-sort-order-id", "current-snapshot-id", "snapshots", "snapshot-log", "metadata-log", "refs"]
    for key in required + (["next-row-id"] if committed.version == 3 else []):
        assert key in metadata
    assert metadata["refs"]["main"] == {"snapshot-id": metadata["current-snapshot-id"], "type": "branch"}
    assert uuid.UUID(metadata["table-uuid"])
    assert len(metadata["metadata-log"]) == 3
    assert all(Path(entry["metadata-file"]).exists() for entry in metadata["metadata-log"])
    sequences = [snapshot["sequence-number"] for snapshot in metadata["snapshots"]]
    assert sequences == [1, 2, 3] and metadata["last-sequence-number"] == 3
    assert [snapshot.get("parent-snapshot-id") for snapshot in metadata["snapshots"]] == [
        None, *[snapshot["snapshot-id"] for snapshot in metadata["snapshots"][:-1]]]
    summary = metadata["snapshots"][-1]["summary"]
    assert summary["operation"] == "delete" and summary["deleted-data-files"] == "1"
    assert summary["total-data-files"] == "1" and summary["total-delete-files"] == "0" and summary["total-records"] == "100"
    folder = committed.folder / "metadata"
    assert (folder / "version-hint.text").read_text() == "4"
    assert (folder / "v4.metadata.json").read_bytes() == Path(committed.metadata).read_bytes()


def test_single_values(monkeypatch):
    """Our binary form of every type against pyiceberg's."""
    monkeypatch.setattr(decimal.getcontext(), "prec", 60)
    cases = [
        ("boolean", BooleanType(), True, "true"), ("boolean", BooleanType(), False, "false"),
        ("date", DateType(), -719162, "-719162"), ("time", TimeType(), 86399999999, "86399999999"),
        ("timestamp", TimestampType(), -1, "-1"), ("timestamptz", TimestamptzType(), 1700000000000000, "1700000000000000"),
        ("float", FloatType(), 1.5, "1.5"), ("double", DoubleType(), -0.1, "-0.1"),
        ("string", StringType(), "grün \u0001", "grün \u0001"), ("string", StringType(), "", ""),
        ("binary", BinaryType(), b"\x00\xff", "00ff"), ("fixed[3]", FixedType(3), b"abc", "616263"),
        ("uuid", UUIDType(), uuid.UUID(int=2**127 + 5), f"{2**127 + 5:032x}"),
    ]
    for value in (0, 1, -1, 127, 128, -128, -129, 2**31 - 1, -(2**31)):
        cases.append(("int", IntegerType(), value, str(value)))
    for value in (0, 2**63 - 1, -(2**63)):
        cases.append(("long", LongType(), value, str(value)))
    for value in (0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, 32768, 10**38 - 1, -(10**38) + 1, -(2**120)):
        cases.append(("decimal(38,3)", DecimalType(38, 3), Decimal(value).scaleb(-3), str(value)))
    ours = tool("encode", [{"type": name, "value": text} for name, _, _, text in cases])
    for (name, kind, value, _), encoded in zip(cases, ours):
        assert encoded == to_bytes(kind, value).hex(), (name, value)
