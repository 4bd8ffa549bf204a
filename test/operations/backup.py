# SPDX-License-Identifier: Apache-2.0
"""Backups, restores, standbys, dumps, upgrades, copied and renamed databases: mirrors are right at once and exact again by
themselves, whatever became of their files and of the slot.

    backup.py [scenario ...]
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile

import psycopg
from scenario import (Server, exact, generation, main, one, right, run, slot, slot_name, wait_until)

CONF = "max_wal_size = 1GB\nwal_keep_size = 512MB\n"
BASIC = """
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 5000) i;
CREATE TABLE q ("Key" int PRIMARY KEY, "a b" numeric);
INSERT INTO q SELECT i, i / 3.0 FROM generate_series(1, 500) i;
"""


def make_mirrors(server, dbname="postgres"):
    run(server, BASIC, "CALL mooncake.create_table('m', 't')", "CALL mooncake.create_table('\"Mirror of q\"', 'q')", dbname=dbname)


def write(server, tag, dbname="postgres"):
    """Changes of which some are flushed and some are not."""
    run(server, "UPDATE t SET v = '%s' WHERE id %% 10 = 1" % tag, "DELETE FROM t WHERE id %% 50 = %d" % (len(tag) % 50),
        "CALL mooncake.create_snapshot('m')", "INSERT INTO t SELECT coalesce(max(id), 0) + 1, '%s' FROM t" % tag, dbname=dbname)


def all_exact(server, context, dbname="postgres"):
    for source, mirror in ("t", "m"), ("q", '"Mirror of q"'):
        right(server, source, mirror, dbname=dbname, context=context)
        exact(server, source, mirror, dbname=dbname, context=context)
    # And they follow from there.
    run(server, "UPDATE t SET v = v || '.' WHERE id % 3 = 0", "INSERT INTO q SELECT max(\"Key\") + 1, 0 FROM q", dbname=dbname)
    exact(server, "t", "m", dbname=dbname, context=context)
    exact(server, "q", '"Mirror of q"', dbname=dbname, context=context)


def program(name):
    config = os.environ.get("PG_CONFIG", "/usr/lib/postgresql/18/bin/pg_config")
    return os.path.join(subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True).stdout.strip(), name)


def call(server, name, *arguments, cwd="/"):
    """Runs one of the server's programs as the server's user."""
    command = [program(name), *arguments]
    if os.getuid() == 0:
        owner = subprocess.run(["stat", "-c", "%U", os.path.join(server.dir, "data")], capture_output=True, text=True, check=True).stdout.strip()
        command = ["runuser", "-u", owner, "--", *command]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=dict(os.environ, PGHOST=server.dir, PGUSER="postgres", PGPORT="5432"))
    assert done.returncode == 0, "%s failed:\n%s\n%s" % (name, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


class Clone(Server):
    """A server on a data directory that comes from another one."""

    def __init__(self, origin, conf=""):
        super().__init__(extension=False)
        shutil.chown(self.dir, *owner_of(origin.dir + "/data"))
        os.chmod(self.dir, 0o755)
        self.extra = conf

    def configure(self):
        with open(os.path.join(self.dir, "data/postgresql.conf"), "a") as conf:
            conf.write("unix_socket_directories = '%s'\nextension_control_path = '%s/stage/share:$system'\n"
                       "dynamic_library_path = '%s/stage/lib:$libdir'\n%s\n" % (self.dir, self.dir, self.dir, self.extra))
        return self


def owner_of(path):
    status = os.stat(path)
    return status.st_uid, status.st_gid


def copy_tree(source, target):
    subprocess.run(["cp", "-a", source, target], check=True)


def base_backup():
    """A restored base backup beside its origin: it takes none of the other's files, and both go on."""
    with Server(conf=CONF) as server:
        make_mirrors(server)
        # A backup is a tar file: it refuses long paths.
        run(server, 'CREATE SCHEMA "%s"' % ("ä b" * 20), 'CREATE TABLE "%s" (id int PRIMARY KEY)' % ("long" * 15),
            "CALL mooncake.create_table('\"%s\".\"%s\"', '%s')" % ("ä b" * 20, "name" * 15, "long" * 15))
        write(server, "before")
        with_clone = Clone(server)
        call(server, "pg_basebackup", "-D", with_clone.dir + "/data", "-X", "stream", "-c", "fast")
        write(server, "after the backup")
        backed_up = [os.path.relpath(os.path.join(folder, name), with_clone.dir + "/data")
                     for folder, _, names in os.walk(with_clone.dir + "/data/pg_mooncake") for name in names]
        assert backed_up and max(map(len, backed_up)) <= 99, backed_up
        with with_clone.configure() as clone:
            assert clone.dir != server.dir
            wait_until(lambda: generation(clone, "m") == 2, "a copy that nobody asked for")
            all_exact(clone, "restored backup")
            all_exact(server, "origin")
            assert generation(server, "m") == 1
            location = one(clone, "SELECT location FROM mooncake.mirrors WHERE mirror = 'm'::regclass")
            assert location.startswith(clone.dir), location


def restored_in_place(keep):
    """Point-in-time recovery into the same path. "keep": folders that were not restored, being newer than the rest."""
    with Server(conf=CONF + "archive_mode = on\narchive_command = 'cp %p ../archive/%f'\n") as server:
        data, archive = os.path.join(server.dir, "data"), os.path.join(server.dir, "archive")
        os.mkdir(archive)
        shutil.chown(archive, *owner_of(data))
        make_mirrors(server)
        write(server, "before the backup")
        call(server, "pg_basebackup", "-D", server.dir + "/backup", "-X", "none", "-c", "fast")
        write(server, "wanted")
        run(server, "SELECT pg_create_restore_point('here')")
        write(server, "not wanted")
        run(server, "DELETE FROM t WHERE id < 100", "CALL mooncake.create_snapshot('m')", "SELECT pg_switch_wal()")
        server.stop()
        os.rename(data, server.dir + "/old")
        os.rename(server.dir + "/backup", data)
        for folder in keep:
            shutil.rmtree(os.path.join(data, folder), ignore_errors=True)
            copy_tree(os.path.join(server.dir, "old", folder), os.path.join(data, folder))
        with open(os.path.join(data, "postgresql.auto.conf"), "a") as conf:
            conf.write("restore_command = 'cp ../archive/%f %p'\nrecovery_target_name = 'here'\nrecovery_target_action = 'promote'\n")
        open(os.path.join(data, "recovery.signal"), "w").close()
        shutil.chown(os.path.join(data, "recovery.signal"), *owner_of(data))
        server.start()
        wait_until(lambda: not one(server, "SELECT pg_is_in_recovery()"), "the end of recovery")
        assert one(server, "SELECT count(*) FROM t WHERE v = 'not wanted'") == 0
        all_exact(server, "restored with %s" % (keep,))
        write(server, "in the new time")
        all_exact(server, "restored with %s" % (keep,))
        server.kill("ivy_engine")
        all_exact(server, "restored with %s, engine killed" % (keep,))


def point_in_time():
    restored_in_place([])


def point_in_time_with_newer_files():
    restored_in_place(["pg_mooncake", "pg_duckdb"])


def point_in_time_with_newer_slot():
    """The slot's folder came from somewhere else than the catalog: it is ahead of it."""
    restored_in_place(["pg_mooncake", "pg_duckdb", "pg_replslot"])


def promoted(synced):
    conf = CONF + "hot_standby_feedback = on\n"
    with Server(conf=conf) as primary:
        make_mirrors(primary)
        write(primary, "before")
        run(primary, "SELECT pg_create_physical_replication_slot('standby', true)")
        clone = Clone(primary, "hot_standby_feedback = on\nprimary_slot_name = 'standby'\nsync_replication_slots = %s\n"
                      "primary_conninfo = 'host=%s port=5432 user=postgres dbname=postgres'\n" % ("on" if synced else "off", primary.dir))
        call(primary, "pg_basebackup", "-D", clone.dir + "/data", "-X", "stream", "-c", "fast", "-R")
        # What pg_basebackup -R wrote comes later in postgresql.auto.conf; ours is the one that counts.
        with open(clone.dir + "/data/postgresql.auto.conf", "w"):
            pass
        with clone.configure() as standby:
            write(primary, "while it follows")
            if synced:
                # The slot moves on in steps; a synchronised one needs a first one that the standby can follow.
                with primary.connect(autocommit=True) as connection:
                    connection.execute("SELECT count(pg_logical_emit_message(false, 'noise', repeat('x', 1000000))) FROM generate_series(1, 40)")
                    connection.execute("CHECKPOINT")
                wait_until(lambda: one(standby, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s AND synced AND NOT temporary",
                                       (slot_name(primary),)) == 1, "a synchronised slot", 90)
            write(primary, "last")
            end = one(primary, "SELECT pg_current_wal_lsn()")
            wait_until(lambda: one(standby, "SELECT pg_last_wal_replay_lsn() >= %s", (end,)), "the standby")
            # A standby has no engine's mirrors: its queries use the row table.
            right(standby, "t", "m", context="standby")
            primary.stop("immediate")
            run(standby, "SELECT pg_promote()")
            wait_until(lambda: not one(standby, "SELECT pg_is_in_recovery()"), "the promotion")
            all_exact(standby, "promoted")
            write(standby, "promoted")
            all_exact(standby, "promoted and written")
            assert slot(standby) is not None


def promoted_standby():
    promoted(False)


def promoted_standby_with_synchronised_slot():
    promoted(True)


def dumps():
    """Mirrors are dumped as what they are, without rows; restored ones are copied by themselves."""
    with Server(conf=CONF) as server:
        make_mirrors(server)
        write(server, "dumped")
        run(server, "CREATE ROLE reader", "GRANT SELECT ON m TO reader", "CREATE VIEW v AS SELECT count(*) AS n FROM m")
        folder = tempfile.mkdtemp(dir=server.dir)
        shutil.chown(folder, *owner_of(server.dir + "/data"))
        call(server, "pg_dump", "-f", folder + "/plain.sql", "postgres")
        call(server, "pg_dump", "-Fd", "-j2", "-f", folder + "/parallel", "postgres")
        call(server, "pg_dump", "-s", "-f", folder + "/schema.sql", "postgres")
        text = open(folder + "/plain.sql").read()
        assert text.count("dumped") == one(server, "SELECT count(*) FROM t WHERE v = 'dumped'"), "rows of a mirror are in the dump"
        for name, restore in (("plain", lambda: call(server, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", folder + "/plain.sql", "plain")),
                              ("parallel", lambda: call(server, "pg_restore", "-j2", "-d", "parallel", folder + "/parallel"))):
            run(server, "CREATE DATABASE " + name)
            restore()
            all_exact(server, name, dbname=name)
            assert one(server, "SELECT has_table_privilege('reader', 'm', 'SELECT')", dbname=name)
            assert one(server, "SELECT n = (SELECT count(*) FROM t) FROM v", dbname=name)
        # Nothing but definitions: the mirrors' rows are not among them, so create_table makes the mirrors again.
        run(server, "CREATE DATABASE empty")
        call(server, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", folder + "/schema.sql", "empty")
        run(server, "INSERT INTO t SELECT i, 'new' FROM generate_series(1, 10) i", dbname="empty")
        try:
            run(server, "SELECT * FROM m", dbname="empty")
            raise AssertionError("a mirror without a source was read")
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            assert "mirror without a source" in str(error)
        run(server, "DROP TABLE m CASCADE", "CALL mooncake.create_table('m', 't')", dbname="empty")
        exact(server, "t", "m", dbname="empty")
        all_exact(server, "origin")
        assert generation(server, "m") == 1


def installed(server):
    """A copy of the server's installation with the extensions in it; the path of its programs. Symbolic links where they do."""
    source = os.path.dirname(program("postgres"))
    root = os.path.join(server.dir, "installation")
    library = subprocess.run([os.environ.get("PG_CONFIG", source + "/pg_config"), "--pkglibdir"], capture_output=True, text=True, check=True).stdout.strip()
    share = subprocess.run([os.environ.get("PG_CONFIG", source + "/pg_config"), "--sharedir"], capture_output=True, text=True, check=True).stdout.strip()
    common = os.path.commonpath([source, library, share])
    bindir, libdir, sharedir = (os.path.join(root, os.path.relpath(path, common)) for path in (source, library, share))
    os.makedirs(os.path.dirname(sharedir), exist_ok=True)
    shutil.copytree(source, bindir)
    os.makedirs(libdir, exist_ok=True)
    for entry in os.scandir(library):
        if not os.path.exists(os.path.join(libdir, entry.name)):
            os.symlink(entry.path, os.path.join(libdir, entry.name))
    if not os.path.exists(sharedir):
        os.symlink(share, sharedir)
    for name in os.listdir(server.dir + "/stage/lib"):
        shutil.copy2(os.path.join(server.dir, "stage/lib", name), libdir)
    return bindir


def upgrade(same_path):
    """pg_upgrade to a new cluster, elsewhere or, the old one having been moved away, in its place."""
    with Server(conf=CONF) as server:
        make_mirrors(server)
        write(server, "old cluster")
        run(server, "ALTER SYSTEM SET pg_mooncake.enable_bgworker = off")
        server.stop()
        server.start()
        run(server, "SELECT pg_drop_replication_slot('%s')" % slot_name(server), "ALTER SYSTEM RESET pg_mooncake.enable_bgworker",
            "INSERT INTO t VALUES (-1, 'while capture was off')")
        server.stop()
        old, new = server.dir + "/data", server.dir + "/new"
        if same_path:
            os.rename(old, server.dir + "/moved")
            old, new = server.dir + "/moved", server.dir + "/data"
        shutil.chown(server.dir, *owner_of(old))
        config = open(old + "/postgresql.conf").read()
        subprocess.run(["runuser", "-u", "postgres", "--"][:4 * (os.getuid() == 0)] +
                       [program("initdb"), "-D", new, "-U", "postgres", "-A", "trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"],
                       check=True, capture_output=True, cwd="/")
        # LOAD '$libdir/...', which pg_upgrade tries, must find the modules where they were preloaded from.
        for folder in old, new:
            with open(folder + "/postgresql.conf", "w") as conf:
                conf.write(config + "\ndynamic_library_path = '$libdir'\n")
        if os.path.exists(old + "/ivorysql.conf"):  # read last: it has the list of preloaded modules
            shutil.copy(old + "/ivorysql.conf", new)
            shutil.chown(new + "/ivorysql.conf", *owner_of(old))
        scratch = tempfile.mkdtemp(dir=server.dir)
        shutil.chown(scratch, *owner_of(old))
        programs = installed(server)
        paths = [programs + "/pg_upgrade", "-b", programs, "-B", programs, "-d", old, "-D", new, "-U", "postgres", "-s", scratch, "--no-sync"]
        done = subprocess.run(["runuser", "-u", "postgres", "--"][:4 * (os.getuid() == 0)] + paths, cwd=scratch, capture_output=True, text=True)
        logs = "".join(open(path, errors="replace").read()[-2000:] for path in glob.glob(new + "/pg_upgrade_output.d/*/*.txt") + glob.glob(new + "/pg_upgrade_output.d/*/log/*"))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr + logs
        if not same_path:
            os.rename(old, server.dir + "/moved")
            os.rename(new, server.dir + "/data")
        with open(server.dir + "/data/postgresql.conf", "w") as conf:
            conf.write(config)
        server.start()
        # Nothing in the new cluster's folder tells of mirrors: the first query does.
        right(server, "t", "m", context="upgraded")
        wait_until(lambda: generation(server, "m") == 2, "a new copy")
        all_exact(server, "upgraded")


def upgraded():
    upgrade(False)


def upgraded_in_place():
    upgrade(True)


def copied_database():
    """CREATE DATABASE ... TEMPLATE copies the mirrors' rows, but their files are the template's."""
    with Server(conf=CONF) as server:
        make_mirrors(server)
        write(server, "template")
        for strategy in "wal_log", "file_copy":
            run(server, "CREATE DATABASE copy_%s TEMPLATE postgres STRATEGY %s" % (strategy, strategy), dbname="template1")
            name = "copy_" + strategy
            run(server, "INSERT INTO t VALUES (-7, 'copy')", dbname=name)
            all_exact(server, name, dbname=name)
            write(server, "written in the copy", dbname=name)
            all_exact(server, name, dbname=name)
            all_exact(server, "template")
            assert generation(server, "m") == 1
            run(server, "DROP DATABASE " + name)
            server.kill("ivy_engine")
            all_exact(server, "template after the copy is gone")


def moved_database():
    """ALTER DATABASE RENAME and SET TABLESPACE stop capture for a moment and change nothing."""
    with Server(conf=CONF) as server:
        run(server, "CREATE DATABASE d")
        run(server, "CREATE EXTENSION pg_mooncake CASCADE", dbname="d")
        make_mirrors(server, dbname="d")
        write(server, "before", dbname="d")
        run(server, "ALTER DATABASE d RENAME TO e")
        all_exact(server, "renamed", dbname="e")
        folder = os.path.join(server.dir, "space")
        os.mkdir(folder)
        shutil.chown(folder, *owner_of(server.dir + "/data"))
        assert generation(server, "m", dbname="e") == 1
        # The WAL from before names files that are somewhere else now: what was not flushed by then can't be decoded.
        run(server, "CREATE TABLESPACE space LOCATION '%s'" % folder, "ALTER DATABASE e SET TABLESPACE space")
        all_exact(server, "moved", dbname="e")
        # Recovery replays the move by dropping the database's old folder, and its slots with it.
        server.stop("immediate")
        server.start()
        all_exact(server, "moved, crashed", dbname="e")


def two_databases():
    """A failure in one database's capture is nothing to the other's."""
    with Server(conf=CONF) as server:
        run(server, "CREATE DATABASE d")
        run(server, "CREATE EXTENSION pg_mooncake CASCADE", dbname="d")
        make_mirrors(server)
        make_mirrors(server, dbname="d")
        engine = "ivy_engine --database=%d" % one(server, "SELECT oid FROM pg_database WHERE datname = 'd'")
        for _ in range(5):
            server.kill(engine)
            write(server, "one")
            exact(server, "t", "m")
        all_exact(server, "first")
        all_exact(server, "second", dbname="d")


if __name__ == "__main__":
    sys.exit(main([base_backup, point_in_time, point_in_time_with_newer_files, point_in_time_with_newer_slot, promoted_standby,
                   promoted_standby_with_synchronised_slot, dumps, upgraded, upgraded_in_place, copied_database, moved_database,
                   two_databases]))
