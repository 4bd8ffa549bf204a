# SPDX-License-Identifier: Apache-2.0
"""Iceberg and Delta tables written by hand, following the specifications, for what no package at hand writes."""

import json
import struct
import uuid
import zlib
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

POSITION_FIELDS = [("file_path", pa.string(), 2147483546), ("pos", pa.int64(), 2147483545)]
Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def roaring(rows):
    """A deletion vector: magic number and 64-bit Roaring bitmap, by array containers (at most 4096 rows in each 65536)."""
    def bitmap(values):
        keys = sorted({value >> 16 for value in values})
        containers = [sorted(value & 0xFFFF for value in values if value >> 16 == key) for key in keys]
        out = struct.pack("<II", 12346, len(keys))
        for key, values_of_key in zip(keys, containers):
            out += struct.pack("<HH", key, len(values_of_key) - 1)
        offset = len(out) + 4 * len(keys)
        for values_of_key in containers:
            out += struct.pack("<I", offset)
            offset += 2 * len(values_of_key)
        return out + b"".join(struct.pack("<H", value) for values_of_key in containers for value in values_of_key)

    highs = sorted({row >> 32 for row in rows})
    body = struct.pack("<Q", len(highs))
    for high in highs:
        body += struct.pack("<I", high) + bitmap([row & 0xFFFFFFFF for row in rows if row >> 32 == high])
    return bytes([0xD1, 0xD3, 0x39, 0x64]) + body


def framed(vector):
    """A vector as files hold it: length before it, CRC behind it, both big-endian."""
    return struct.pack(">I", len(vector)) + vector + struct.pack(">I", zlib.crc32(vector))


def z85(data):
    data += b"\0" * (-len(data) % 4)
    text = ""
    for (word,) in struct.iter_unpack(">I", data):
        text += "".join(Z85[word // 85**power % 85] for power in (4, 3, 2, 1, 0))
    return text


def write_parquet(path, fields, rows, **options):
    """Writes rows (tuples); fields are (name, type, field id or None)."""
    schema = pa.schema([pa.field(name, kind, metadata={"PARQUET:field_id": str(id)} if id else None)
                        for name, kind, id in fields])
    columns = list(zip(*rows)) if rows else [[] for _ in fields]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table([pa.array(column, kind) for column, (_, kind, _) in zip(columns, fields)], schema=schema),
                   path, **options)


class HandmadeIceberg:
    """An Iceberg table. Files are added with their sequence numbers; write() makes one snapshot of them all."""

    def __init__(self, folder, fields, version=2, specs=None, properties=None):
        self.folder = Path(folder)
        self.version = version
        self.fields = fields  # of the schema, as JSON
        self.specs = specs or [{"spec-id": 0, "fields": []}]
        self.properties = properties or {}
        self.entries = []  # (content, data file, sequence number, spec id)

    def add(self, path, count, sequence, content=0, partition=None, spec=0, **more):
        path = Path(path)
        file = {"content": content, "file_path": str(path), "file_format": "PARQUET", "partition": partition or {},
                "record_count": count, "file_size_in_bytes": path.stat().st_size} | more
        self.entries.append((content, file, sequence, spec))
        return str(path)

    def data(self, name, fields, rows, sequence, **more):
        path = self.folder / "data" / name
        write_parquet(path, fields, rows, row_group_size=1000)
        return self.add(path, len(rows), sequence, **more)

    def position_deletes(self, name, rows, sequence, **more):
        path = self.folder / "data" / name
        write_parquet(path, POSITION_FIELDS, sorted(rows))
        return self.add(path, len(rows), sequence, content=1, **more)

    def equality_deletes(self, name, fields, rows, sequence, **more):
        path = self.folder / "data" / name
        write_parquet(path, fields, rows)
        ids = more.pop("equality_ids", [id for _, _, id in fields])
        return self.add(path, len(rows), sequence, content=2, equality_ids=ids, **more)

    def vectors(self, name, deleted, sequence):
        """A Puffin file with a deletion vector for each data file: {path: rows}."""
        path = self.folder / "data" / name
        out, blobs = b"PFA1", []
        for target, rows in deleted.items():
            blob = framed(roaring(rows))
            blobs.append({"type": "deletion-vector-v1", "fields": [2147483645], "snapshot-id": -1, "sequence-number": -1,
                          "offset": len(out), "length": len(blob),
                          "properties": {"referenced-data-file": target, "cardinality": str(len(rows))}})
            out += blob
        footer = json.dumps({"blobs": blobs}).encode()
        out += b"PFA1" + footer + struct.pack("<I", len(footer)) + b"\0\0\0\0" + b"PFA1"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(out)
        for blob, (target, rows) in zip(blobs, deleted.items()):
            self.add(path, len(rows), sequence, content=1, file_format="PUFFIN", referenced_data_file=target,
                     content_offset=blob["offset"], content_size_in_bytes=blob["length"])

    def manifest_schema(self, spec):
        partition = [{"name": field["name"], "type": ["null", field["avro"]], "default": None,
                      "field-id": field["field-id"]} for field in spec["fields"]]

        def optional(name, kind, id):
            return {"name": name, "type": ["null", kind], "default": None, "field-id": id}

        def pairs(name, id, value):
            record = {"type": "record", "name": f"k{id}", "fields": [
                {"name": "key", "type": "int", "field-id": id + 1}, {"name": "value", "type": value, "field-id": id + 2}]}
            return optional(name, {"type": "array", "items": record, "logicalType": "map"}, id)

        file = [{"name": "file_path", "type": "string", "field-id": 100},
                {"name": "file_format", "type": "string", "field-id": 101},
                {"name": "partition", "type": {"type": "record", "name": "r102", "fields": partition}, "field-id": 102},
                {"name": "record_count", "type": "long", "field-id": 103},
                {"name": "file_size_in_bytes", "type": "long", "field-id": 104}]
        if self.version == 1:
            file.append({"name": "block_size_in_bytes", "type": "long", "field-id": 105})
        else:
            file.insert(0, {"name": "content", "type": "int", "field-id": 134})
        file += [pairs("value_counts", 119, "long"), pairs("null_value_counts", 121, "long"),
                 pairs("lower_bounds", 126, "bytes"), pairs("upper_bounds", 129, "bytes"),
                 optional("equality_ids", {"type": "array", "items": "int", "element-id": 136}, 135),
                 optional("referenced_data_file", "string", 143), optional("content_offset", "long", 144),
                 optional("content_size_in_bytes", "long", 145)]
        for field in file:  # the maps' own ids
            field["field-id"] = {"value_counts": 109, "null_value_counts": 110, "lower_bounds": 125,
                                 "upper_bounds": 128}.get(field["name"], field["field-id"])
        entry = [{"name": "status", "type": "int", "field-id": 0}, optional("snapshot_id", "long", 1)]
        if self.version > 1:
            entry += [optional("sequence_number", "long", 3), optional("file_sequence_number", "long", 4)]
        entry.append({"name": "data_file", "type": {"type": "record", "name": "r2", "fields": file}, "field-id": 2})
        return {"type": "record", "name": "manifest_entry", "fields": entry}

    def write(self, list_manifests=True):
        """Writes manifests and metadata and returns the table's path."""
        metadata = self.folder / "metadata"
        metadata.mkdir(parents=True, exist_ok=True)
        manifests = []
        for number, (content, file, sequence, spec_id) in enumerate(self.entries):
            spec = next(spec for spec in self.specs if spec["spec-id"] == spec_id)
            path = metadata / f"m{number}.avro"
            entry = {"status": 1, "snapshot_id": 1, "sequence_number": sequence, "file_sequence_number": sequence,
                     "data_file": file | {"block_size_in_bytes": 1}}
            header = {"schema": json.dumps(self.schema()), "format-version": str(self.version),
                      "partition-spec": json.dumps(spec["fields"]), "partition-spec-id": str(spec_id),
                      "content": "deletes" if content else "data"}
            with open(path, "wb") as out:
                fastavro.writer(out, self.manifest_schema(spec), [entry], metadata=header)
            manifests.append({"manifest_path": str(path), "manifest_length": path.stat().st_size,
                              "partition_spec_id": spec_id, "content": 1 if content else 0, "sequence_number": sequence,
                              "min_sequence_number": sequence, "added_snapshot_id": 1, "added_files_count": 1,
                              "existing_files_count": 0, "deleted_files_count": 0,
                              "added_rows_count": file["record_count"], "existing_rows_count": 0, "deleted_rows_count": 0})
        names = [("manifest_path", "string", 500), ("manifest_length", "long", 501), ("partition_spec_id", "int", 502),
                 ("content", "int", 517), ("sequence_number", "long", 515), ("min_sequence_number", "long", 516),
                 ("added_snapshot_id", "long", 503), ("added_files_count", "int", 504), ("existing_files_count", "int", 505),
                 ("deleted_files_count", "int", 506), ("added_rows_count", "long", 512),
                 ("existing_rows_count", "long", 513), ("deleted_rows_count", "long", 514)]
        if self.version == 1:
            names = [name for name in names if name[2] not in (517, 515, 516)]
        schema = {"type": "record", "name": "manifest_file",
                  "fields": [{"name": name, "type": kind, "field-id": id} for name, kind, id in names]}
        snapshot = {"snapshot-id": 1, "timestamp-ms": 1000, "summary": {"operation": "append"}}
        if list_manifests:
            with open(metadata / "snap-1.avro", "wb") as out:
                fastavro.writer(out, schema, manifests)
            snapshot["manifest-list"] = str(metadata / "snap-1.avro")
        else:
            snapshot["manifests"] = [manifest["manifest_path"] for manifest in manifests]
        document = {"format-version": self.version, "table-uuid": str(uuid.uuid4()), "location": str(self.folder),
                    "last-updated-ms": 1000, "last-column-id": 1000, "partition-specs": self.specs, "default-spec-id": 0,
                    "last-partition-id": 1100, "properties": self.properties, "current-snapshot-id": 1,
                    "snapshots": [snapshot], "snapshot-log": [], "sort-orders": [{"order-id": 0, "fields": []}],
                    "default-sort-order-id": 0}
        if self.version == 1:
            document["schema"] = self.schema()
            document["partition-spec"] = self.specs[0]["fields"]
        else:
            snapshot["sequence-number"] = 100
            document |= {"last-sequence-number": 100, "schemas": [self.schema()], "current-schema-id": 0}
        if self.version >= 3:
            document["next-row-id"] = 1000000
        (metadata / "v1.metadata.json").write_text(json.dumps(document))
        (metadata / "version-hint.text").write_text("1")
        return str(self.folder)

    def schema(self):
        return {"type": "struct", "schema-id": 0, "fields": self.fields}


def iceberg_field(id, name, kind, required=False, **more):
    return {"id": id, "name": name, "required": required, "type": kind} | {
        key.replace("_", "-"): value for key, value in more.items()}


class HandmadeDelta:
    """A Delta table, commit by commit."""

    def __init__(self, folder, fields, partition_columns=(), configuration=None, protocol=None):
        self.folder = Path(folder)
        self.log = self.folder / "_delta_log"
        self.log.mkdir(parents=True, exist_ok=True)
        self.protocol = {"protocol": protocol or {"minReaderVersion": 1, "minWriterVersion": 2}}
        self.metadata = {"metaData": {
            "id": str(uuid.uuid4()), "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps({"type": "struct", "fields": fields}),
            "partitionColumns": list(partition_columns), "configuration": configuration or {}}}
        self.version = -1
        self.commit(self.protocol, self.metadata)

    def commit(self, *actions):
        self.version += 1
        (self.log / f"{self.version:020}.json").write_text("".join(json.dumps(action) + "\n" for action in actions))

    def file(self, name, fields, rows, partition=None, vector=None, stats=None, **options):
        """Writes a data file and returns its add action."""
        write_parquet(self.folder / name, fields, rows, **options)
        add = {"path": name, "size": (self.folder / name).stat().st_size, "partitionValues": partition or {},
               "modificationTime": 0, "dataChange": True}
        if stats:
            add["stats"] = json.dumps(stats)
        if vector:
            add["deletionVector"] = vector
        return {"add": add}

    def inline_vector(self, rows):
        vector = roaring(rows)
        return {"storageType": "i", "pathOrInlineDv": z85(vector), "sizeInBytes": len(vector), "cardinality": len(rows)}

    def vector_file(self, rows_of_vectors, folder=""):
        """A file of several vectors: a descriptor by UUID and one by path for each."""
        id = uuid.uuid4()
        path = self.folder / folder / f"deletion_vector_{id}.bin"
        path.parent.mkdir(exist_ok=True)
        out, refs = b"\x01", []
        for rows in rows_of_vectors:
            vector = roaring(rows)
            more = {"offset": len(out), "sizeInBytes": len(vector), "cardinality": len(rows)}
            refs.append(({"storageType": "u", "pathOrInlineDv": folder + z85(id.bytes)} | more,
                         {"storageType": "p", "pathOrInlineDv": path.as_uri()} | more))
            out += framed(vector)
        path.write_bytes(out)
        return refs


def delta_field(name, kind, **metadata):
    return {"name": name, "type": kind, "nullable": True, "metadata": metadata}


def mapped_field(name, kind, id, physical):
    return {"name": name, "type": kind, "nullable": True,
            "metadata": {"delta.columnMapping.id": id, "delta.columnMapping.physicalName": physical}}
