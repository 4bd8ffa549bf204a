# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's own regression queries, on mirrors of PostgreSQL's own regression tables.

The scripts of the server's source (fetch_source.sh; nothing of them is in this project) are run in their order. Before a
SELECT that reads tables, mirrors of these are made in a schema of its own with the same names; then the SELECT runs
on the row tables and, with that schema first in search_path, on the mirrors, in one snapshot. Rows, column types or the
error must be the same; the order of rows as far as ORDER BY says. Where SQL leaves an answer open (LIMIT without an order,
sums of floats...), the row table itself gives another answer once its rows lie in another order: that is tried before a
difference counts.

A table whose rows have no key gets a copy with one more column, which is mirrored and filled anew after each write; the
name then is that of a view of the mirror without this column.

    postgres_regress.py [--all] [--files NAME...] [--seconds N] [--source FOLDER] [--stop]
"""

import argparse
import collections
import os
import re
import shutil
import subprocess
import sys
import time

from psycopg import pq

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
from ivy_server import ROOT, Server  # noqa: E402
from psql_script import Script  # noqa: E402

# What make check runs: queries of every kind over the tables of test_setup and their own.
FILES = """test_setup boolean char name varchar text int2 int4 int8 float4 float8 numeric uuid enum strings date time
    timestamp timestamptz interval create_misc create_index select select_distinct select_distinct_on
    select_having subselect union case join aggregates arrays window groupingsets with limit jsonb""".split()
# All of the schedule but what would be about other things: other databases, files, the server's settings, psql itself.
NOT_WITH_ALL = """tablespace database encoding euc_kr copyencoding conversion largeobject event_trigger event_trigger_login
    publication subscription psql psql_crosstab psql_pipeline infinite_recurse opr_sanity type_sanity misc_sanity oidjoins
    sanity_check vacuum_parallel vacuum maintain_every compression_pglz regproc create_am stats_import stats numa dbsize guc
    collate.windows.win1252 async advisory_lock prepared_xacts security_label init_privs dependency object_address roleattributes
    create_role password lock txid xid mvcc create_function_c memoize""".split()

MIRRORS = "mirror"  # the schema
COPIES = "copy"     # the schema of copies with a key
COPY_MIRRORS = "copy_mirror"
KEY = "ivy_key"     # the unique index that makes a table mirrorable
NAME = re.compile(r'"((?:[^"]|"")+)"|([A-Za-z_][A-Za-z0-9_$]*)')
COMMENTS = re.compile(r"(?s)--[^\n]*|/\*.*?\*/")


class Answer:
    """What a statement gave."""

    def __init__(self, result):
        self.failed = result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
        self.rows, self.types, self.names = [], [], []
        self.sqlstate = self.message = None
        if self.failed:
            self.sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"?").decode()
            self.message = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message or b"").decode(errors="replace")
            return
        self.rows = [tuple(result.get_value(i, j) for j in range(result.nfields)) for i in range(result.ntuples)]
        self.types = [(result.ftype(j), result.fmod(j)) for j in range(result.nfields)]
        self.names = [(result.fname(j) or b"").decode(errors="replace").lower() for j in range(result.nfields)]

    def shown_types(self):
        """Types of the columns; row types of relations, which have their own, are all one."""
        return [(oid if oid < 16384 else 0, modifier) for oid, modifier in self.types]

    def __str__(self):
        return "%s: %s" % (self.sqlstate, self.message) if self.failed else "%d rows %s" % (len(self.rows), str(self.rows)[:1200])


def bag(rows):
    return collections.Counter(rows)


def sort_columns(text, names):
    """Indexes of the output columns that a query's last ORDER BY names, up to the first expression that is none."""
    plain = COMMENTS.sub(" ", text)
    depth, start = 0, None
    for match in re.finditer(r"'[^']*'|[()]|(?i:\border\s+by\b|\blimit\b|\boffset\b|\bfetch\b|\bfor\b)", plain):
        token = match.group().lower()
        depth += (token == "(") - (token == ")")
        if depth == 0 and token.startswith("order"):
            start, end = match.end(), len(plain)
        elif depth == 0 and start is not None and token[0] in "lof":
            end = min(end, match.start())
    columns = []
    for item in re.split(r",(?![^()]*\))", plain[start:end]) if start is not None else []:
        item = re.sub(r"(?i)\s+(asc|desc|nulls\s+(first|last)|using\s+\S+)\b", "", item).strip().strip(";").lower()
        if item.isdigit() and int(item) <= len(names):
            columns.append(int(item) - 1)
        elif names.count(item) == 1:
            columns.append(names.index(item))
        else:
            break
    return columns


def same(first, second, text):
    """Whether two answers agree. One difference is allowed, as in random_queries.py: a data exception (class 22) of the row
    table where the mirror has a result, since SQL leaves open which expressions are evaluated."""
    if first.failed or second.failed:
        return first.sqlstate == second.sqlstate or (not second.failed and first.sqlstate.startswith("22"))
    if first.shown_types() != second.shown_types() or bag(first.rows) != bag(second.rows):
        return False
    columns = sort_columns(text, first.names)
    return all([[row[c] for row in first.rows] == [row[c] for row in second.rows] for c in columns])


class Run:
    def __init__(self, connection, admin, source, data, options):
        self.pg = connection.pgconn  # the scripts' session, whatever role it has taken
        self.admin = admin.pgconn    # makes the mirrors
        self.source = source
        self.data = data      # a copy of its data that the server's user can read
        self.options = options
        self.counts = collections.Counter()
        self.mirrors = {}     # table name -> None, or why there is none
        self.tables = {}      # tables of schema public by name: oid
        self.stale = {}       # name of a copied table -> whether its copy must be filled
        self.differences = []

    def execute(self, text):
        return self.pg.exec_(text.encode("utf-8", "surrogateescape"))

    def query(self, text):
        return Answer(self.execute(text))

    def manage(self, text):
        return Answer(self.admin.exec_(text.encode("utf-8", "surrogateescape")))

    def must(self, text):
        answer = self.manage(text)
        if answer.failed:
            raise AssertionError("%s\n%s" % (text, answer))
        return answer.rows

    def in_transaction(self):
        return self.pg.transaction_status != pq.TransactionStatus.IDLE

    # --- mirrors -----------------------------------------------------------------------------------------------------

    def read_tables(self):
        if self.in_transaction():
            return
        rows = self.must("SELECT c.relname, c.oid FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')")
        self.tables = {name.decode(): oid for name, oid in rows}
        known = {name.decode() for name, in self.must("SELECT relname FROM pg_class WHERE relnamespace = '%s'::regnamespace" % MIRRORS)}
        for name in list(self.mirrors):
            if name not in self.tables or (self.mirrors[name] is None and name not in known) or self.stale.get(name):
                self.forget(name)

    def forget(self, name):
        quoted = '"%s"' % name.replace('"', '""')
        if self.stale.pop(name, None) is not None:
            self.manage("DROP TABLE IF EXISTS %s.%s CASCADE" % (COPIES, quoted))
        del self.mirrors[name]

    def referenced(self, text):
        """The tables that a statement may read: all words of it that are tables' names."""
        plain = re.sub(r"(?s)'[^']*'|\$(\w*)\$.*?\$\1\$", " ", COMMENTS.sub(" ", text))
        return {quoted.replace('""', '"') if quoted else word.lower() for quoted, word in NAME.findall(plain)} & set(self.tables)

    def make_mirror(self, name):
        quoted = '"%s"' % name.replace('"', '""')
        reason = self.make_key(quoted)
        if reason is None:
            answer = self.manage("CALL mooncake.create_table('%s.%s', 'public.%s')" % (MIRRORS, quoted.replace("'", "''"), quoted.replace("'", "''")))
            reason = answer.message if answer.failed else None
            if reason:
                self.drop_key(quoted)
        if reason is not None:
            answer = self.manage(
                "CREATE TABLE {c}.{t} AS TABLE public.{t}; ALTER TABLE {c}.{t} ADD {k} bigserial PRIMARY KEY".format(c=COPIES, t=quoted, k=KEY))
            columns = self.column_list(quoted)
            for text in ("CALL mooncake.create_table('%s.%s', '%s.%s')" % (COPY_MIRRORS, quoted.replace("'", "''"), COPIES, quoted.replace("'", "''")),
                         "CREATE VIEW %s.%s AS SELECT %s FROM %s.%s" % (MIRRORS, quoted, columns, COPY_MIRRORS, quoted)):
                answer = answer if answer.failed else self.manage(text)
            if not answer.failed:
                reason = None
                self.stale[name] = False
            else:
                reason = answer.message
                self.manage("DROP TABLE IF EXISTS %s.%s CASCADE" % (COPIES, quoted))
        self.mirrors[name] = reason

    def column_list(self, quoted):
        return self.must("SELECT coalesce(string_agg(quote_ident(attname), ', ' ORDER BY attnum), '') FROM pg_attribute "
                         "WHERE attrelid = 'public.%s'::regclass AND attnum > 0 AND NOT attisdropped" % quoted.replace("'", "''"))[0][0].decode("utf-8")

    def fill_copy(self, name):
        quoted = '"%s"' % name.replace('"', '""')
        columns = self.column_list(quoted)
        answer = self.manage("TRUNCATE {c}.{t}; INSERT INTO {c}.{t} ({l}) SELECT {l} FROM public.{t}".format(c=COPIES, t=quoted, l=columns))
        if answer.failed:
            self.forget(name)
        else:
            self.stale[name] = False

    def make_key(self, table):
        """Gives a table without one an identity that its rows happen to have. Returns why there is none."""
        oid = "'public.%s'::regclass" % table.replace("'", "''")
        if self.must("SELECT 1 FROM pg_index WHERE indrelid = %s AND (indisprimary OR indisreplident) AND indimmediate" % oid):
            return None
        columns = [row[0].decode() for row in self.must(
            "SELECT quote_ident(attname) FROM pg_attribute a JOIN pg_opclass o ON o.opcintype = a.atttypid AND o.opcdefault AND o.opcmethod = 403 "
            "WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped AND attgenerated <> 'v' ORDER BY attnum" % oid)]
        candidates = [[c] for c in columns[:6]] + [columns[i:i + 2] for i in range(min(len(columns), 4) - 1)]
        if 2 < len(columns) <= 32:
            candidates.append(columns)
        for candidate in candidates:
            key = ", ".join(candidate)
            answer = self.manage("BEGIN; %s; CREATE UNIQUE INDEX %s ON public.%s (%s); ALTER TABLE ONLY public.%s REPLICA IDENTITY USING INDEX %s; COMMIT" % (
                "; ".join("ALTER TABLE ONLY public.%s ALTER %s SET NOT NULL" % (table, c) for c in candidate),
                '"%s"' % self.key_name(table), table, key, table, '"%s"' % self.key_name(table)))
            if not answer.failed:
                return None
            self.manage("ROLLBACK")
        return "no columns are a key"

    @staticmethod
    def key_name(table):
        return KEY + "_" + table.strip('"')[:40].replace('"', "")

    def drop_key(self, table):
        """Takes back make_key, so that a script's writes are not hindered."""
        name = self.key_name(table)
        columns = [row[0].decode() for row in self.manage(
            "SELECT quote_ident(a.attname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_attribute a ON a.attrelid = i.indrelid "
            "AND a.attnum = ANY (i.indkey) WHERE c.relname = '%s'" % name.replace("'", "''")).rows]
        if not columns:
            return False
        self.manage('DROP TABLE IF EXISTS %s.%s; DROP INDEX public."%s"; ALTER TABLE public.%s REPLICA IDENTITY DEFAULT' % (MIRRORS, table, name, table))
        for column in columns:
            self.manage("ALTER TABLE public.%s ALTER %s DROP NOT NULL" % (table, column))
        self.mirrors.pop(table.strip('"').replace('""', '"'), None)
        return True

    # --- statements --------------------------------------------------------------------------------------------------

    def statement(self, text, data):
        plain = COMMENTS.sub(" ", text).strip()
        first = re.match(r"[\s(]*(\w*)", plain).group(1).lower()
        if first == "explain" and not re.match(r"(?i)explain\s*(\(|.*)analy[sz]e", plain):
            return
        reads = first in ("select", "with", "table", "values") and not re.search(r"(?i)\binto\b|\b(insert|update|delete|merge)\b", plain)
        if reads and self.pg.transaction_status != pq.TransactionStatus.INERROR:
            self.compare(text, plain)
        if not reads:
            self.stale = dict.fromkeys(self.stale, True)
        result = self.copy(self.execute(text), data)
        if result.status == pq.ExecStatus.FATAL_ERROR and not self.in_transaction() and self.unhinder(result):
            self.copy(self.execute(text), data)
        if not reads and first not in ("insert", "update", "delete", "copy", "set", "show", "vacuum", "analyze"):
            self.read_tables()

    def copy(self, result, data):
        """Carries out a COPY that a statement has begun; returns the last result."""
        while result.status in (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT):
            if result.status == pq.ExecStatus.COPY_IN:
                self.pg.put_copy_data((data or "").encode("utf-8", "surrogateescape"))
                self.pg.put_copy_end()
            else:
                while self.pg.get_copy_data(0)[0] > 0:
                    pass
            following = self.pg.get_result()
            while following is not None:
                result = following
                if result.status in (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT):
                    break
                following = self.pg.get_result()
        return result

    def unhinder(self, result):
        """After a write that our key made fail: whether it can be tried again."""
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        table = (result.error_field(pq.DiagnosticField.TABLE_NAME) or b"").decode()
        if state not in ("23505", "23502") or table not in self.tables:
            return False
        return self.drop_key('"%s"' % table.replace('"', '""'))

    def compare(self, text, plain):
        referenced = self.referenced(text)
        if not referenced:
            return
        if not self.in_transaction():
            for name in sorted(referenced - set(self.mirrors)):
                self.make_mirror(name)
            for name in sorted(referenced & set(self.stale)):
                if self.stale[name]:
                    self.fill_copy(name)
        # The catalogs tell mirrors from row tables.
        if re.search(r"(?i)\b(tableoid|regclass|pg_(class|attribute|index|constraint|trigger|depend|inherits)\w*|information_schema)\b", plain):
            return
        # A copy can't follow within a transaction, and has no system columns.
        mirrored = [name for name in referenced if self.mirrors.get(name, "") is None]
        if any(self.stale.get(name) for name in referenced) or (
                referenced & set(self.stale) and self.pg.parameter_status(b"is_superuser") != b"on") or (
                referenced & set(self.stale) and re.search(r"(?i)\b(ctid|tablesample|xmin|xmax|cmin|cmax)\b|\bonly\b|for\s+(update|share|no|key)", plain)):
            mirrored = []
        if not mirrored:
            self.counts["no mirror"] += 1
            return
        outside = not self.in_transaction()
        if outside:
            self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        self.execute("SAVEPOINT ivy")
        times = [time.monotonic()]
        row_table = self.query(text)
        times.append(time.monotonic())
        self.execute("ROLLBACK TO ivy")
        self.execute("SELECT set_config('search_path', '%s, ' || current_setting('search_path'), true)" % MIRRORS)
        mirror = self.query(text)
        times.append(time.monotonic())
        if self.options.report and times[2] - times[0] > 0.5:
            print("slow: %.1f s on the row table, %.1f s on the mirror\n%s" % (times[1] - times[0], times[2] - times[1], plain))
        if self.pg.status != pq.ConnStatus.OK:
            raise AssertionError("the connection was lost by\n%s" % text)
        self.counts["compared"] += 1
        self.counts["errors"] += row_table.failed
        if not same(row_table, mirror, text) and not self.is_open(text, row_table):
            self.differences.append(plain)
            print("DIFFERENT in %s\n%s\nrow table: %s\nmirror:    %s" % (self.file, plain, row_table, mirror))
            self.execute("ROLLBACK TO ivy")
            self.execute("SELECT set_config('search_path', '%s, ' || current_setting('search_path'), true)" % MIRRORS)
            explained = self.query("EXPLAIN (VERBOSE, COSTS off) " + text)
            print("\n".join(row[0].decode(errors="replace") for row in explained.rows) + "\n", flush=True)
            if self.options.stop:
                raise AssertionError("stopped at the first difference")
        elif self.options.report and not mirror.failed:
            self.execute("ROLLBACK TO ivy")
            self.execute("SELECT set_config('search_path', '%s, ' || current_setting('search_path'), true)" % MIRRORS)
            explained = "\n".join(row[0].decode(errors="replace") for row in self.query("EXPLAIN (COSTS off) " + text).rows)
            level = re.search("Columnar Engine: (.*)", explained)
            self.counts["engine runs " + level.group(1) if level else "row table"] += 1
        self.execute("ROLLBACK" if outside else "ROLLBACK TO ivy")

    def is_open(self, text, row_table):
        """Whether SQL leaves the answer open: the row tables' own rows, lying in another order, give another one."""
        for order in ("random()", "1 DESC", "1"):
            self.execute("ROLLBACK TO ivy")
            for name in self.referenced(text):
                self.execute('CREATE TEMP TABLE "%s" AS SELECT * FROM public."%s" ORDER BY %s' % (name, name, order))
            self.execute("SELECT set_config('search_path', 'pg_temp, ' || current_setting('search_path'), true)")
            for setting in ("enable_hashagg", "enable_sort", "enable_hashjoin") if order == "random()" else ():
                self.execute("SET LOCAL %s = off" % setting)
            if not same(row_table, self.query(text), text):
                self.counts["open answers"] += 1
                if self.options.report:
                    print("open: %s" % text.strip())
                return True
        return False

    def file_done(self):
        """What a script left in the session must not reach the next."""
        self.execute("ROLLBACK")
        self.execute("RESET ROLE; RESET SESSION AUTHORIZATION")
        self.execute("DISCARD ALL")

    def run(self, name):
        self.file = name
        with open(os.path.join(self.source, "sql", name + ".sql"), encoding="utf-8", errors="surrogateescape") as file:
            script = Script(file.read(), {"PG_ABS_SRCDIR": self.data, "PG_ABS_BUILDDIR": self.data, "PG_LIBDIR": self.data, "PG_DLSUFFIX": ".so"})
        self.execute("SET statement_timeout = '30s'; SET client_min_messages = error")
        for text, data in script:
            self.statement(text, data)
        self.file_done()
        self.read_tables()


def schedule(source):
    with open(os.path.join(source, "parallel_schedule"), encoding="utf-8") as file:
        return [word for line in file if line.startswith("test:") for word in line[5:].split()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true", help="every script that can run alone")
    parser.add_argument("--files", nargs="+", help="these scripts, besides test_setup and create_index")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no further script after so long")
    parser.add_argument("--source", help="the server's src/test/regress (default: fetched)")
    parser.add_argument("--stop", action="store_true", help="stop at the first difference")
    parser.add_argument("--report", action="store_true", help="count how much of the queries the engine runs")
    options = parser.parse_args()
    source = options.source
    if source is None:
        cache = os.path.join(os.environ.get("IVY_BUILD", os.path.join(ROOT, "build/check")), "postgres_source")
        fetched = subprocess.run([os.path.join(HERE, "fetch_source.sh"), cache], stdout=subprocess.PIPE, text=True, check=False)
        if fetched.returncode != 0:
            return fetched.returncode
        source = fetched.stdout.strip()

    order = schedule(source)
    if options.all:
        files = [name for name in order if name not in NOT_WITH_ALL]
    else:
        wanted = set(FILES) if not options.files else {"test_setup", "create_index", *options.files}
        files = [name for name in order if name in wanted]
    start = time.monotonic()
    with Server(conf="max_prepared_transactions = 4\nmax_connections = 50\nintervalstyle = postgres_verbose\ntimezone = 'America/Los_Angeles'\n"
                     "datestyle = 'Postgres, MDY'\n", extension=False) as server:
        with server.connect(autocommit=True) as c:
            c.execute("CREATE DATABASE regression TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
            c.execute("ALTER DATABASE regression SET bytea_output = 'hex'")
        with server.connect(dbname="regression", autocommit=True) as c, server.connect(dbname="regression", autocommit=True) as admin:
            # The scripts' names are for schema public alone.
            c.execute("SET client_min_messages = error; CREATE EXTENSION pg_mooncake CASCADE; CREATE SCHEMA %s; CREATE SCHEMA %s; CREATE SCHEMA %s" % (MIRRORS, COPIES, COPY_MIRRORS))
            c.execute("GRANT USAGE ON SCHEMA %s TO public; ALTER DATABASE regression SET lock_timeout = '20s'" % MIRRORS)
            shutil.copytree(os.path.join(source, "data"), os.path.join(server.dir, "source", "data"))
            run = Run(c, admin, source, os.path.join(server.dir, "source"), options)
            for name in files:
                if time.monotonic() - start > options.seconds:
                    print("time is over before %s" % name)
                    break
                before, began = run.counts["compared"], time.monotonic()
                run.run(name)
                print("%-24s %5d compared  %6.1f s" % (name, run.counts["compared"] - before, time.monotonic() - began), flush=True)
            reasons = collections.Counter(reason for reason in run.mirrors.values() if reason)
            print("mirrors: %d, tables without: %s" % (sum(r is None for r in run.mirrors.values()), dict(reasons)))
            print(", ".join("%s: %d" % item for item in sorted(run.counts.items())))
            print("differences: %d" % len(run.differences))
    return 1 if run.differences or run.counts["compared"] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
