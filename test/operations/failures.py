# SPDX-License-Identifier: Apache-2.0
"""One mirror fails: the others go on, queries stay right, the reason is in the view and the log, and it comes back.

    failures.py [scenario ...]
"""

import glob
import os
import subprocess
import sys
import time

from scenario import (Server, exact, generation, logged, main, one, right, run, wait_until)

BASIC = """
CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2));
INSERT INTO t SELECT i, md5(i::text), i / 7.0 FROM generate_series(1, 50000) i;
CREATE TABLE other (id int PRIMARY KEY, v text);
INSERT INTO other SELECT i, 'other ' || i FROM generate_series(1, 1000) i;
"""
STATUS = "SELECT state, error, failures, retry_at FROM mooncake.mirror_status WHERE table_name = 'm'"


def make_mirrors(server):
    """Two mirrors; the first has data files, deletion vectors and key index segments."""
    run(server, BASIC, "CALL mooncake.create_table('m', 't')", "CALL mooncake.create_table('o', 'other')",
        "DELETE FROM t WHERE id % 100 = 0", "UPDATE t SET v = 'changed' WHERE id % 100 = 1", "CALL mooncake.create_snapshot('m')")


def files(server, pattern):
    location = one(server, "SELECT location FROM mooncake.mirrors WHERE mirror = 'm'::regclass")
    found = sorted(glob.glob(os.path.join(location, pattern)))
    assert found, pattern
    return found


def damage(path, begin=0.3, end=0.7):
    """Overwrites a part of a file; its size stays."""
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(int(size * begin))
        file.write(b"\xff" * max(1, int(size * (end - begin))))


def restart_engine(server):
    server.kill("ivy_engine")


def comes_back(server, copies=1):
    """The mirror is right at once, and exact by itself before long; the other one was never touched."""
    right(server, "t", "m")
    run(server, "UPDATE other SET v = v || '!' WHERE id % 10 = 0", "UPDATE t SET n = n + 1 WHERE id % 1000 = 7")
    exact(server, "other", "o")
    wait_until(lambda: generation(server, "m") == 1 + copies, "the copy")
    exact(server, "t", "m")
    assert generation(server, "o") == 1


def deleted_data_file():
    with Server() as server:
        make_mirrors(server)
        os.unlink(files(server, "data/*.parquet")[0])
        restart_engine(server)
        comes_back(server)
        assert logged(server, "another attempt after a failure")


def damaged_data_file():
    """A query finds the damage, uses the row table, and has the files checked."""
    with Server() as server:
        make_mirrors(server)
        damage(max(files(server, "data/*.parquet"), key=os.path.getsize))
        restart_engine(server)
        wait_until(lambda: right(server, "t", "m") or generation(server, "m") == 2, "a copy after queries")
        comes_back(server)
        assert logged(server, "is damaged")


def failure_of_an_earlier_copy():
    """A failure is told while the mirror is being made anew: the new copy is not blamed for it."""
    server = Server()
    server.env["IVY_FAULT"] = "mirror-check:sleep-1500,capture-refresh:sleep-3000"
    with server:
        make_mirrors(server)
        time.sleep(4)
        damage(max(files(server, "data/*.parquet"), key=os.path.getsize))
        right(server, "t", "m")  # has the files checked, which takes its time
        run(server, "CALL mooncake.create_table('x', 'other', wait => false)",  # the worker is about to read the catalog, and listens to nobody
            "CALL mooncake.rebuild_table('m', wait => false)")
        wait_until(lambda: logged(server, "is damaged"), "a failure")
        exact(server, "t", "m")
        exact(server, "other", "x")
        assert one(server, STATUS)[2] == 0 and generation(server, "m") == 2, one(server, STATUS)


def damaged_metadata():
    with Server() as server:
        make_mirrors(server)
        for path in files(server, "metadata/*.metadata.json"):
            damage(path)
        restart_engine(server)
        comes_back(server)


def deleted_manifests():
    with Server() as server:
        make_mirrors(server)
        for path in files(server, "metadata/*.avro"):
            os.unlink(path)
        restart_engine(server)
        comes_back(server)


def damaged_deletion_vectors():
    with Server() as server:
        make_mirrors(server)
        for path in files(server, "data/*.puffin"):
            damage(path, 0, 0.9)
        restart_engine(server)
        comes_back(server)


def unreadable_files():
    with Server() as server:
        make_mirrors(server)
        for path in files(server, "data/*.parquet"):
            os.chmod(path, 0)
        restart_engine(server)
        comes_back(server)


def index_segments(server):
    return [path for path in glob.glob(os.path.join(server.dir, "data/pg_duckdb/*/pgsql_tmp_index/*/*.idx")) if os.path.getsize(path) > 100000]


def damaged_index():
    """The key index is derived: it is built anew from the data files, without a copy, while the slot waits."""
    with Server() as server:
        make_mirrors(server)
        segments = index_segments(server)
        assert segments
        for path in segments:
            damage(path, 0.1, 0.8)
        run(server, "DELETE FROM t WHERE id % 7 = 0", "UPDATE t SET v = 'again' WHERE id % 11 = 0")
        right(server, "t", "m")
        exact(server, "t", "m")
        exact(server, "other", "o")
        assert generation(server, "m") == 1, "the mirror was copied although its files are whole"
        for path in index_segments(server):
            os.unlink(path)
        restart_engine(server)
        run(server, "DELETE FROM t WHERE id % 5 = 0")
        exact(server, "t", "m")
        assert generation(server, "m") == 1


def folder_that_may_not_be_written():
    """A flush that fails is tried again with growing pauses; queries go on from memory."""
    with Server() as server:
        make_mirrors(server)
        folder = os.path.dirname(files(server, "data/*.parquet")[0])
        os.chmod(folder, 0o500)
        run(server, "INSERT INTO t SELECT i, 'new', 0 FROM generate_series(60001, 61000) i")
        try:
            run(server, "CALL mooncake.create_snapshot('m')")
            raise AssertionError("the flush succeeded")
        except Exception as error:  # noqa: BLE001  any error of the engine's
            assert "ermission" in str(error), error
        exact(server, "t", "m")
        assert "ermission" in one(server, STATUS)[1]
        run(server, "CALL mooncake.create_snapshot('o')")
        os.chmod(folder, 0o700)
        run(server, "CALL mooncake.create_snapshot('m')")
        exact(server, "t", "m")
        assert one(server, STATUS)[:2] == ("live", None)
        assert generation(server, "m") == 1


def full_disk():
    """The warehouse's disk is full: flushes and copies wait for room, everything else goes on."""
    with Server() as server:
        run(server, BASIC)
        folder = os.path.join(server.dir, "data/pg_mooncake")
        os.makedirs(folder, exist_ok=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=777", "tmpfs", folder], capture_output=True).returncode != 0:
            print("full_disk: skipped, may not mount")
            return
        try:
            run(server, "CALL mooncake.create_table('m', 't')", "CALL mooncake.create_table('o', 'other')",
                "CREATE TABLE big (id int PRIMARY KEY, v text)",
                "INSERT INTO big SELECT i, string_agg(md5((i * 10 + j)::text), '') FROM generate_series(1, 20000) i, generate_series(1, 20) j GROUP BY i",
                "CALL mooncake.create_table('b', 'big', '{\"wait\": false}')",
                "INSERT INTO t SELECT i, repeat(md5(i::text), 10), 0 FROM generate_series(100001, 130000) i")
            status = "SELECT state, error FROM mooncake.mirror_status WHERE table_name = 'b'"
            wait_until(lambda: "No space" in (one(server, status)[1] or "") or "full" in (one(server, status)[1] or ""), "an error about space")
            assert one(server, status)[0] == "copying"
            right(server, "big", "b")
            exact(server, "t", "m")
            exact(server, "other", "o")
            subprocess.run(["mount", "-o", "remount,size=200m", folder], check=True)
            exact(server, "big", "b", seconds=90)
            run(server, "CALL mooncake.create_snapshot('m')")
            exact(server, "t", "m")
            assert generation(server, "m") == 1
        finally:
            server.stop("immediate")
            subprocess.run(["umount", folder], check=True)


def change_that_can_not_be_captured():
    """An error in capturing one mirror's changes: that one waits, the others do not, and retries come with pauses."""
    with Server() as server:
        make_mirrors(server)
        server.stop()
        server.env["IVY_FAULT"] = "capture-change:error:2"
        server.start()
        exact(server, "t", "m")
        run(server, "DELETE FROM t WHERE id = 5")
        wait_until(lambda: one(server, STATUS)[2] == 1, "a failure")
        exact(server, "t", "m")  # the copy has what could not be captured
        run(server, "DELETE FROM t WHERE id = 6")
        wait_until(lambda: one(server, STATUS)[2] == 2, "a second failure")
        right(server, "t", "m")
        state, error, _, retry_at = one(server, STATUS)
        assert state == "error" and "capture-change" in error and retry_at is not None, (state, error, retry_at)
        exact(server, "other", "o")
        server.stop()
        server.env["IVY_FAULT"] = ""
        server.start()
        exact(server, "t", "m")
        assert one(server, STATUS)[0] == "live"


def engine_without_memory():
    """A query that needs more memory than the engine has runs on the row table."""
    with Server(conf="duckdb.max_memory = '64MB'") as server:
        make_mirrors(server)
        run(server, "INSERT INTO t SELECT i, repeat(md5(i::text), 4), i FROM generate_series(100001, 400000) i")
        query = "SELECT count(*), sum(length(v)) FROM (SELECT v, string_agg(n::text, ',') FROM %s GROUP BY v) s"
        assert one(server, query % "m") == one(server, query % "t")
        exact(server, "t", "m")
        assert generation(server, "m") == 1


def dead_files_go():
    """Data files whose rows are all deleted leave the table, and what lost flushes left behind is deleted."""
    with Server() as server:
        make_mirrors(server)
        count = "SELECT files FROM mooncake.mirror_status WHERE table_name = 'm'"
        assert one(server, count) == 2
        run(server, "DELETE FROM t WHERE v <> 'changed'", "CALL mooncake.create_snapshot('m')")
        wait_until(lambda: one(server, count) == 1, "the end of an empty file")
        exact(server, "t", "m")
        run(server, "DELETE FROM t", "CALL mooncake.create_snapshot('m')")
        wait_until(lambda: one(server, count) == 0, "the end of the last file")
        run(server, "INSERT INTO t VALUES (1, 'back', 1)", "CALL mooncake.create_snapshot('m')")
        exact(server, "t", "m")
        location = one(server, "SELECT location FROM mooncake.mirrors WHERE mirror = 'm'::regclass")
        orphans = [location + "/data/lost.parquet", location + "/metadata/00077-lost.metadata.json", location + "/metadata/v77.metadata.json",
                   location + "/metadata/version-hint.text.tmp3"]
        for path in orphans:
            with open(path, "w") as file:
                file.write("x")
            subprocess.run(["chown", "--reference", location, path], check=True)
        restart_engine(server)
        wait_until(lambda: not any(os.path.exists(path) for path in orphans), "the end of orphans")
        exact(server, "t", "m")
        restart_engine(server)
        exact(server, "t", "m")
        assert generation(server, "m") == 1


if __name__ == "__main__":
    sys.exit(main([deleted_data_file, damaged_data_file, failure_of_an_earlier_copy, damaged_metadata, deleted_manifests, damaged_deletion_vectors,
                   unreadable_files, damaged_index, folder_that_may_not_be_written, full_disk, change_that_can_not_be_captured,
                   engine_without_memory, dead_files_go]))
