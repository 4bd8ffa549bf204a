# SPDX-License-Identifier: Apache-2.0
"""pyiceberg reads what our library commits: rows, deletes, history, schema changes, by path and through its SQL catalog."""

import os
import random
from decimal import Decimal

import pyarrow.compute as pc
import pytest
from conftest import ARROW_FIELDS, SCHEMA, rows_of, tool
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import EqualTo, GreaterThan
from pyiceberg.table import StaticTable


def some_rows(first, count):
    return [(i, None if i % 7 == 0 else f"name {i} grün", Decimal(i) / 4) for i in range(first, first + count)]


def test_empty_table(mirror):
    assert mirror.table().scan().to_arrow().num_rows == 0
    assert mirror.table().metadata.format_version == mirror.version


def test_appends_and_deletes(mirror):
    first = mirror.new_file(some_rows(0, 1000))
    mirror.commit({"added": [first], "summary": {"ivy.flushed-lsn": "17"}})
    mirror.check()
    assert mirror.table().current_snapshot().summary["ivy.flushed-lsn"] == "17"
    second = mirror.new_file(some_rows(1000, 10))
    mirror.commit({"added": [second], **mirror.deletes({first["path"]: [0, 1, 2, 500, 999]})})
    mirror.check()
    mirror.commit(mirror.deletes({first["path"]: list(range(100, 400)), second["path"]: [9]}))
    mirror.check()
    # Compaction: the files' rows in a new one.
    rest = mirror.expected()
    removed = [mirror.remove(file["path"]) for file in (first, second)]
    mirror.commit({"operation": "replace", "added": [mirror.new_file(rest)], "removed": removed})
    mirror.check()
    assert not tool("dump", {"metadata": mirror.metadata})["delete_files"]


def test_all_rows_deleted(mirror):
    file = mirror.new_file(some_rows(0, 5000))
    mirror.commit({"added": [file], **mirror.deletes({file["path"]: list(range(5000))})})
    mirror.check()
    assert mirror.expected() == []


@pytest.mark.parametrize("seed", range(4))
def test_random_commits(mirror, seed):
    dice = random.Random(seed)
    next_id = 0
    for _ in range(15):
        changes = []
        for _ in range(dice.randint(1, 3)):
            change = {"keep_snapshots": dice.choice([1, 3, 100])}
            old = list(mirror.rows)
            change["added"] = []
            for _ in range(dice.randint(0, 2)):
                count = dice.choice([1, 10, 3000])
                change["added"].append(mirror.new_file(some_rows(next_id, count), dice.random() < 0.8))
                next_id += count
            change["removed"] = [mirror.remove(path) for path in old if dice.random() < 0.1]
            victims = {}
            for path in mirror.rows:
                if mirror.rows[path] and dice.random() < 0.4:
                    there = list(mirror.rows[path])
                    victims[path] = dice.sample(there, dice.randint(1, max(1, len(there) // 2)))
            changes.append(change | mirror.deletes(victims))
        mirror.commit(*changes, delete_expired=True)
        mirror.check()


def test_older_snapshots_stay_readable(mirror):
    states = []
    file = mirror.new_file(some_rows(0, 100))
    mirror.commit({"added": [file]})
    for step in range(5):
        states.append((mirror.table().current_snapshot().snapshot_id, mirror.expected()))
        mirror.commit({"added": [mirror.new_file(some_rows(1000 * (step + 1), 10))], **mirror.deletes({file["path"]: [step]})})
    table = mirror.table()
    for snapshot_id, rows in states:
        assert rows_of(table.scan(snapshot_id=snapshot_id).to_arrow()) == rows
    assert [entry.snapshot_id for entry in table.history()][:5] == [snapshot_id for snapshot_id, _ in states]


def test_bounds_prune_files(mirror):
    files = [mirror.new_file(some_rows(1000 * i, 1000)) for i in range(5)]
    mirror.commit({"added": files})
    table = mirror.table()
    scan = table.scan(row_filter=EqualTo("id", 2500))
    assert [task.file.file_path for task in scan.plan_files()] == [files[2]["path"]]
    assert scan.to_arrow()["id"].to_pylist() == [2500]
    assert len(list(table.scan(row_filter=GreaterThan("id", 2999)).plan_files())) == 2
    assert len(list(table.scan(row_filter=EqualTo("id", 99999)).plan_files())) == 0


def test_schema_changes(mirror):
    old = mirror.new_file(some_rows(0, 10))
    mirror.commit({"added": [old]})
    fields = [dict(field) for field in SCHEMA["fields"]]
    fields[1]["name"] = "title"  # renamed
    del fields[2]                # dropped
    fields.append({"id": 4, "name": "extra", "required": False, "type": "int"})
    if mirror.version == 3:
        fields[-1] |= {"initial-default": 42, "write-default": 42}
    mirror.commit({"schema": {"type": "struct", "schema-id": 0, "fields": fields}, "properties": {"note": "changed"}})
    table = mirror.table()
    assert table.properties["note"] == "changed"
    assert table.schema().column_names == ["id", "title", "extra"]
    assert len(table.schemas()) == 2
    read = table.scan().to_arrow()
    assert read["title"].to_pylist()[1] == "name 1 grün"
    assert read["extra"].to_pylist() == [42 if mirror.version == 3 else None] * 10
    # The first snapshot is still read with its own schema.
    first = table.scan(snapshot_id=table.current_snapshot().snapshot_id).to_arrow()
    assert "price" in first.column_names


def test_read_by_path(mirror):
    file = mirror.new_file(some_rows(0, 10))
    mirror.commit({"added": [file]})
    mirror.commit(mirror.deletes({file["path"]: [3]}))
    table = StaticTable.from_metadata(str(mirror.folder))  # through version-hint.text
    assert rows_of(table.scan().to_arrow()) == mirror.expected()
    assert table.metadata == mirror.table().metadata


def test_sql_catalog(mirror, tmp_path):
    file = mirror.new_file(some_rows(0, 10))
    mirror.commit({"added": [file]})
    catalog = SqlCatalog("test", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=str(tmp_path))
    catalog.create_namespace("public")
    catalog.register_table("public.t", mirror.metadata)
    table = catalog.load_table("public.t")
    assert rows_of(table.scan().to_arrow()) == mirror.expected()
    # The number in the metadata file's name is one that Java's catalogs understand, which parse what comes before "-".
    # (pyiceberg would do so if a whole UUID came after it, which is too long for the names that base backups take.)
    assert int(os.path.basename(mirror.metadata).split("-")[0]) == 2


def test_inspection(mirror):
    file = mirror.new_file(some_rows(0, 10))
    mirror.commit({"added": [file]})
    mirror.commit({"added": [mirror.new_file(some_rows(10, 5))], **mirror.deletes({file["path"]: [1, 2]})})
    table = mirror.table()
    files = table.inspect.files()
    assert sorted(files.filter(pc.equal(files["content"], 0))["record_count"].to_pylist()) == [5, 10]
    assert files.filter(pc.equal(files["content"], 1))["record_count"].to_pylist() == [2]
    assert table.inspect.manifests().num_rows == 3
    assert table.inspect.snapshots().num_rows == 2
    assert len(ARROW_FIELDS) == len(table.schema().fields)


def test_many_vectors_in_one_file(mirror_v3):
    mirror = mirror_v3
    files = [mirror.new_file(some_rows(1000 * i, 200)) for i in range(30)]
    mirror.commit({"added": files})
    mirror.commit(mirror.deletes({file["path"]: list(range(i, 200, 3)) for i, file in enumerate(files)}))
    mirror.check()
    # Later vectors of some of them are in another file; the first one still serves the rest.
    mirror.commit(mirror.deletes({file["path"]: [min(mirror.rows[file["path"]])] for file in files[::2]}))
    mirror.check()


def test_large_positions(mirror_v3):
    """A vector with all kinds of containers: arrays, runs and bitsets."""
    mirror = mirror_v3
    count = 300_000
    file = mirror.new_file([(i, None, None) for i in range(count)], with_metrics=False)
    mirror.commit({"added": [file]})
    dice = random.Random(1)
    victims = set(range(0, 60_000)) | set(dice.sample(range(65_536, 131_072), 20_000)) | {131_072 + 5, 200_000, count - 1}
    mirror.commit(mirror.deletes({file["path"]: sorted(victims)}))
    mirror.check()
