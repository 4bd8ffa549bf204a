# SPDX-License-Identifier: Apache-2.0
"""Transactions of unusual shape: prepared ones across restarts and kills, storms of subtransactions, one larger than memory, ids
beyond 32 bits.

    transactions.py [scenario ...]
"""

import os
import shutil
import signal
import sys
import threading

from backup import call, owner_of
from scenario import Server, exact, generation, main, one, right, run

CONF = "max_prepared_transactions = 20\nlogical_decoding_work_mem = 64kB\n"
BASIC = """
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (id int PRIMARY KEY, v text);
CREATE TABLE plain (id int, v text);
INSERT INTO a SELECT i, 'a ' || i FROM generate_series(1, 1000) i;
INSERT INTO b SELECT i, 'b ' || i FROM generate_series(1, 1000) i;
"""


def make_mirrors(server):
    run(server, BASIC, "CALL mooncake.create_table('ma', 'a')", "CALL mooncake.create_table('mb', 'b')")


def both_exact(server):
    for source in "a", "b":
        right(server, source, "m" + source)
        exact(server, source, "m" + source)
        assert generation(server, "m" + source) == 1


def prepare(server, name, *statements):
    with server.connect(autocommit=True) as connection:
        connection.execute("BEGIN")
        for statement in statements:
            connection.execute(statement)
        connection.execute("PREPARE TRANSACTION '%s'" % name)


def restart(server):
    server.stop()
    server.start()


def crash(server):
    server.stop("immediate")
    server.start()


def kill_engine(server):
    server.kill("ivy_engine")


def kill_worker(server):
    server.kill("pg_mooncake capture", signal.SIGTERM)


def nothing(server):
    pass


def prepared_transactions():
    """Small ones and one that is streamed, of two mirrors, a rolled back savepoint in each; every event before their ends."""
    prepared_through([nothing, kill_engine, kill_worker, restart, crash])


def prepared_through_a_crash():
    prepared_through([crash])


def prepared_through(events):
    with Server(conf=CONF) as server:
        make_mirrors(server)
        for number, event in enumerate(events):
            base = 10000 * (number + 1)
            changes = ["UPDATE a SET v = v || 'p' WHERE id %% 10 = %d" % number, "DELETE FROM b WHERE id %% 100 = %d" % number,
                       "SAVEPOINT s", "DELETE FROM a WHERE id < 900", "ROLLBACK TO s",
                       "INSERT INTO b SELECT %d + i, 'prepared' FROM generate_series(1, 20) i" % base]
            prepare(server, "kept", *changes)
            prepare(server, "given up", "INSERT INTO a VALUES (-1, 'never')", "INSERT INTO b SELECT -i, 'never' FROM generate_series(1, 20000) i")
            prepare(server, "large", "INSERT INTO a SELECT %d + i, repeat('large', 10) FROM generate_series(1, 9000) i" % base,
                    "SAVEPOINT s", "INSERT INTO a VALUES (-2, 'never')", "ROLLBACK TO s", "INSERT INTO b VALUES (%d, 'large')" % base)
            run(server, "INSERT INTO plain VALUES (1, 'between')", "INSERT INTO b VALUES (%d, 'between')" % (base + 5000))
            both_exact(server)
            event(server)
            both_exact(server)
            run(server, "COMMIT PREPARED 'large'")
            event(server)
            run(server, "ROLLBACK PREPARED 'given up'")
            both_exact(server)
            run(server, "CALL mooncake.create_snapshot('ma')", "COMMIT PREPARED 'kept'")
            event(server)
            both_exact(server)


def prepared_before_a_copy():
    """A mirror that is made while a transaction is prepared has its changes when it commits, and only then."""
    with Server(conf=CONF) as server:
        run(server, BASIC)
        prepare(server, "before", "INSERT INTO a SELECT -i, 'before' FROM generate_series(1, 5000) i", "UPDATE b SET v = 'before' WHERE id < 10")
        maker = threading.Thread(target=make_only, args=(server,))
        maker.start()
        maker.join(5)  # it may wait for the prepared transaction, as slots do
        run(server, "COMMIT PREPARED 'before'")
        maker.join()
        both_exact(server)


def make_only(server):
    run(server, "CALL mooncake.create_table('ma', 'a')", "CALL mooncake.create_table('mb', 'b')")


def subtransactions():
    """Thousands of exception blocks, savepoints nested deeply, and a commit of them all at once."""
    with Server(conf=CONF + "max_locks_per_transaction = 256") as server:
        make_mirrors(server)
        run(server, """CREATE FUNCTION storm(first int, count int) RETURNS void LANGUAGE plpgsql AS $$
            BEGIN
                FOR i IN first .. first + count - 1 LOOP
                    BEGIN
                        INSERT INTO a VALUES (i, 'storm');
                        UPDATE b SET v = 'storm ' || i WHERE id = i % 1000;
                        IF i % 2 = 0 THEN RAISE division_by_zero; END IF;
                    EXCEPTION WHEN division_by_zero THEN
                        INSERT INTO a VALUES (-i, 'caught') ON CONFLICT DO NOTHING;
                    END;
                END LOOP;
            END $$""", "SELECT storm(10000, 5000)")
        both_exact(server)
        with server.connect() as connection:
            connection.execute("SELECT storm(20000, 3000)")
            for depth in range(400):
                connection.execute("SAVEPOINT s%d" % depth)
                connection.execute("INSERT INTO b VALUES (%d, 'deep')" % (50000 + depth))
            connection.execute("ROLLBACK TO s300")
            connection.execute("RELEASE s100")
            connection.execute("DELETE FROM a WHERE id BETWEEN 20100 AND 20200")
            connection.execute("ROLLBACK TO s50")
            connection.execute("INSERT INTO b VALUES (60000, 'end')")
            connection.commit()
        both_exact(server)
        with server.connect() as connection:
            connection.execute("SELECT storm(30000, 2000)")
            connection.rollback()
        both_exact(server)


def resident_bytes(pid):
    """Memory of a process that can't be written back to a file: what counts against the machine."""
    with open("/proc/%d/status" % pid) as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))


def larger_than_memory():
    """One transaction of several times duckdb.max_memory: inserts, updates and deletes, seen by nobody until it commits."""
    with Server(conf=CONF.replace("64kB", "4MB") + "duckdb.max_memory = '64MB'\nmax_wal_size = 4GB\n") as server:
        make_mirrors(server)
        stopping, most = threading.Event(), [0]

        def watch():
            while not stopping.wait(0.05):
                for pid, args in server.descendants():
                    if "ivy_engine" in args:
                        try:
                            most[0] = max(most[0], resident_bytes(pid))
                        except (OSError, StopIteration):
                            pass

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with server.connect() as connection:
                for part in range(4):
                    connection.execute("INSERT INTO a SELECT %d + i, repeat(md5(i::text), 12) FROM generate_series(1, 200000) i" % (10**6 * (part + 1)))
                connection.execute("UPDATE a SET v = 'short' WHERE id % 3 = 0")
                connection.execute("DELETE FROM a WHERE id % 5 = 0")
                connection.commit()
            exact(server, "a", "ma", seconds=120)
            run(server, "CALL mooncake.create_snapshot('ma')")
            exact(server, "a", "ma")
            both_exact(server)
            size = one(server, "SELECT pg_table_size('a')")
            print("a transaction on %d MB; the engine held at most %d MB" % (size >> 20, most[0] >> 20))
            assert most[0] < 280 << 20, "the engine held %d MB" % (most[0] >> 20)
        finally:
            stopping.set()
            watcher.join()


def ids_beyond_32_bits():
    """The server's transaction ids wrap around while transactions and snapshots from before are open."""
    first = 2**32 - 120
    with Server(conf=CONF + "autovacuum = off\n", extension=False) as server:
        run(server, "ALTER DATABASE template0 ALLOW_CONNECTIONS true")
        for dbname in "template0", "template1", "postgres":
            run(server, "VACUUM FREEZE", dbname=dbname)
        server.stop()
        call(server, "pg_resetwal", "-x", str(first), "-D", server.dir + "/data")
        states = os.path.join(server.dir, "data/pg_xact/%04X" % (first // (32 * 8192 * 4)))  # the segment that has these ids
        with open(states, "wb") as file:
            file.write(bytes(32 * 8192))
        shutil.chown(states, *owner_of(server.dir + "/data"))
        server.start()
        run(server, "CREATE EXTENSION pg_mooncake CASCADE")
        make_mirrors(server)
        with server.connect() as reader, server.connect() as writer:
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            seen = reader.execute("SELECT count(*), max(v) FROM a").fetchone()
            writer.execute("INSERT INTO a VALUES (-1, 'open all the time')")
            for i in range(40):
                with server.connect() as c:
                    for j in range(3):
                        c.execute("SAVEPOINT s")
                        c.execute("INSERT INTO a VALUES (%d, 'new')" % (10000 + 10 * i + j))
                        c.execute("DELETE FROM b WHERE id = %d" % (3 * i + j + 1))
                        c.execute("RELEASE s" if j % 2 else "ROLLBACK TO s")
                    c.commit()
                if i % 8 == 0:
                    exact(server, "a", "ma")
                    assert reader.execute("SELECT count(*), max(v) FROM ma").fetchone() == seen
            assert int(one(server, "SELECT pg_current_xact_id()::text")) > 2**32
            writer.commit()
            both_exact(server)
            assert reader.execute("SELECT count(*), max(v) FROM ma").fetchone() == seen
        run(server, "CALL mooncake.create_snapshot('ma')", "UPDATE a SET v = 'later' WHERE id < 500")
        both_exact(server)
        crash(server)
        both_exact(server)
        run(server, "CALL mooncake.rebuild_table('mb')", "DELETE FROM b WHERE id > 900")
        exact(server, "b", "mb")


if __name__ == "__main__":
    sys.exit(main([prepared_transactions, prepared_through_a_crash, prepared_before_a_copy, subtransactions, larger_than_memory, ids_beyond_32_bits]))
