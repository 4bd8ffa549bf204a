# SPDX-License-Identifier: Apache-2.0
"""Runs expressions over the row table and over its mirror and compares what comes out.

Most expressions are computed many to a query. Those that fail somewhere are looked at one by one: a function on the server
tells the rows, or pairs of rows, that raise an error in the row table; the mirror must answer as the row table for all others,
and must raise an error too for each of those.
"""

import psycopg

BATCH = 40

PROBE = """
CREATE FUNCTION heap.failing(query text, pairs boolean) RETURNS TABLE (i int, j int) LANGUAGE plpgsql AS $$
DECLARE
    ignored record;
BEGIN
    FOR i, j IN SELECT x.id, y.id FROM heap.edge x, heap.edge y WHERE pairs OR x.id = y.id ORDER BY 1, 2 LOOP
        BEGIN
            EXECUTE query INTO ignored USING i, j;
        EXCEPTION WHEN OTHERS THEN
            RETURN NEXT;
        END;
    END LOOP;
END $$"""


class Expression:
    def __init__(self, text, must_ship):
        self.text = text
        self.must_ship = must_ship
        self.pairs = "y." in text

    def source(self):
        return "FROM edge x, edge y" if self.pairs else "FROM edge x"

    def keys(self):
        return "x.id, y.id" if self.pairs else "x.id"


class Runner:
    def __init__(self, connection, verbose, every=False):
        self.c = connection
        self.verbose = verbose
        self.every = every  # pair of rows that raises an error is looked at, not just each row in some pair
        self.counts = {"equal": 0, "wrong": 0, "refused": 0, "local": 0}

    # --- queries --------------------------------------------------------------------------------------------------------

    def run(self, schema_name, query):
        """((rows as text, type OIDs), None) or (None, error)."""
        self.c.execute("SAVEPOINT s")
        try:
            with self.c.cursor() as cursor:
                cursor.execute(query.replace("edge", schema_name + ".edge"))
                result = cursor.pgresult
                rows = [tuple(result.get_value(i, j) for j in range(result.nfields)) for i in range(result.ntuples)]
                self.c.execute("RELEASE s")
                return (rows, [result.ftype(j) for j in range(result.nfields)]), None
        except psycopg.Error as error:
            self.c.execute("ROLLBACK TO s")
            return None, error

    def plan(self, query):
        """The plan's lines; none if planning already raises an error."""
        plan, error = self.run("mirror", "EXPLAIN (VERBOSE, COSTS off) " + query)
        return [] if error else [row[0].decode() for row in plan[0]]

    def ships(self, plan):
        return any("Columnar Engine: whole query" in line for line in plan)

    def report(self, kind, text, detail=""):
        self.counts[kind] += 1
        if kind != "equal" or self.verbose:
            print("%-8s %s %s" % (kind, text, detail), flush=True)

    def check(self, query):
        """Compares one query. Returns "equal", "wrong", "refused" or "error" (in both), and why."""
        heap, heap_error = self.run("heap", query)
        mirror, mirror_error = self.run("mirror", query)
        if heap_error is None and mirror_error is None:
            if heap == mirror:
                return "equal", ""
            for a, b in zip(heap[0], mirror[0]):
                if a != b:
                    return "wrong", "row table %r, mirror %r" % (a, b)
            return "wrong", "rows or types differ: %r %r" % (heap, mirror)
        if heap_error is None:
            return "refused", str(mirror_error).splitlines()[0]
        if mirror_error is None:
            return "wrong", "mirror answers; row table: %s" % heap_error
        return "error", ""

    # --- expressions ------------------------------------------------------------------------------------------------------

    def expressions(self, expressions):
        expressions = [Expression(text, must_ship) for text, must_ship in expressions]
        for pairs in (False, True):
            group = [e for e in expressions if e.pairs == pairs]
            for at in range(0, len(group), BATCH):
                self.batch(group[at:at + BATCH])

    def batch(self, batch):
        """Compares those that are shipped whole together, so that nothing else in their query is, and the others."""
        for group in self.by_place(batch):
            while group:
                # Those that the row table can't compute for all rows are looked at apart.
                failing = self.first_failing(group)
                good, bad = (group, None) if failing is None else (group[:failing], group[failing])
                if good:
                    self.equal_batch(good)
                if bad is not None:
                    self.failing(bad)
                group = group[len(good) + 1:]

    def by_place(self, batch):
        """(shipped, local), without those that must be shipped and aren't."""
        shipped, local = [], []
        must = [e for e in batch if e.must_ship]
        if must and self.ships(self.plan("SELECT %s %s" % (", ".join("(%s)" % e.text for e in must), must[0].source()))):
            shipped = list(must)
        for e in batch:
            if e in shipped:
                continue
            plan = self.plan("SELECT %s, %s %s" % (e.keys(), e.text, e.source()))
            whole = self.ships(plan)
            if e.must_ship is not None and whole != e.must_ship:
                self.report("local" if e.must_ship else "equal", e.text, " ".join(l.strip() for l in plan if "ot " in l)[:200])
            if whole or not e.must_ship:
                (shipped if whole else local).append(e)
        return shipped, local

    def select(self, batch):
        order = " ORDER BY 1, 2" if batch[0].pairs else " ORDER BY 1"
        return "SELECT %s, %s %s%s" % (batch[0].keys(), ", ".join("(%s) AS e%d" % (e.text, i) for i, e in enumerate(batch)),
                                       batch[0].source(), order)

    def first_failing(self, batch):
        """The index of an expression that raises an error in the row table, or None; those before it don't."""
        if self.run("heap", self.select(batch))[1] is None:
            return None
        low, high = 0, len(batch)  # the first low ones are fine, among the first high ones is one that isn't
        while high - low > 1:
            middle = (low + high) // 2
            if self.run("heap", self.select(batch[low:middle]))[1] is None:
                low = middle
            else:
                high = middle
        return low

    def equal_batch(self, batch):
        if len(batch) == 1:
            outcome, detail = self.check(self.select(batch))
            if outcome == "refused":
                outcome, detail = self.rows_apart(batch[0], detail)
        else:
            heap, error = self.run("heap", self.select(batch))
            mirror, mirror_error = self.run("mirror", self.select(batch))
            outcome = "equal" if heap == mirror and error is None and mirror_error is None else "wrong"
        if outcome != "equal" and len(batch) > 1:
            self.equal_batch(batch[:len(batch) // 2])
            self.equal_batch(batch[len(batch) // 2:])
            return
        if outcome != "equal":
            self.report(outcome, batch[0].text, detail)
            return
        for e in batch:
            self.report("equal", e.text)
        # As filters they meet the engine's optimizer, statistics and pruning.
        types = self.run("heap", self.select(batch) + " LIMIT 1")[0][1]
        self.filters([e for e, oid in zip(batch, types[2 if batch[0].pairs else 1:]) if oid == 16])

    def filters(self, batch):
        if not batch:
            return
        query = " UNION ALL ".join("SELECT %d AS n, %s %s WHERE %s" % (i, e.keys(), e.source(), e.text) for i, e in enumerate(batch))
        outcome, detail = self.check(query + (" ORDER BY 1, 2, 3" if batch[0].pairs else " ORDER BY 1, 2"))
        if outcome == "equal":
            return
        if len(batch) > 1:
            self.filters(batch[:len(batch) // 2])
            self.filters(batch[len(batch) // 2:])
        else:
            self.report("wrong" if outcome == "error" else outcome, batch[0].text, "as a filter: " + detail)

    def rows_apart(self, e, why):
        """Which rows the engine refuses. Rows of x only: which of y doesn't matter here."""
        query = "SELECT %s, %s %s" % (e.keys(), e.text, e.source())
        heap, heap_error = self.run("heap", "%s ORDER BY %s" % (query, e.keys()))
        for (i,) in self.c.execute("SELECT id FROM heap.edge ORDER BY id").fetchall():
            one = "%s WHERE x.id = %d ORDER BY %s" % (query, i, e.keys())
            if heap_error:
                outcome, detail = self.check(one)
            else:
                mirror, _ = self.run("mirror", one)
                wanted = [row for row in heap[0] if int(row[0]) == i]
                outcome, detail = "equal" if mirror in (None, (wanted, heap[1])) else "wrong", "row table %r, mirror %r" % (wanted, mirror)
            if outcome == "wrong":
                return outcome, "x %d: %s" % (i, detail)
        return "refused", why

    def failing(self, e):
        where = "x.id = $1 AND y.id = $2" if e.pairs else "x.id = $1"
        query = "SELECT %s, %s %s" % (e.keys(), e.text, e.source())
        heap_query = (query + " WHERE " + where).replace("edge", "heap.edge")
        bad = self.c.execute("SELECT i, j FROM heap.failing(%s, %s)", (heap_query, e.pairs)).fetchall()
        numbers = ",".join(str(i * 1000 + j if e.pairs else i) for i, j in bad)
        number = "x.id * 1000 + y.id" if e.pairs else "x.id"
        order = " ORDER BY " + e.keys()
        outcome, detail = self.check("%s WHERE %s <> ALL ('{%s}')%s" % (query, number, numbers, order))
        if outcome == "refused":
            outcome, detail = self.rows_apart(e, detail)
        for i, j in bad if self.every else self.some_of(bad):
            one = "x.id = %d AND y.id = %d" % (i, j) if e.pairs else "x.id = %d" % i
            _, error = self.run("mirror", "%s WHERE %s" % (query, one))
            if error is None:
                outcome, detail = "wrong", "mirror answers for %s, where the row table raises an error" % one
                break
        self.report(outcome, e.text, detail)

    @staticmethod
    def some_of(pairs):
        """Pairs with every row that is in one, on either side."""
        left, right, some = set(), set(), []
        for i, j in pairs:
            if i not in left or j not in right:
                some.append((i, j))
                left.add(i)
                right.add(j)
        return some

    # --- aggregates and window functions ------------------------------------------------------------------------------------

    def together(self, texts, must_ship, head, tails):
        """All of them as one query with each tail, and one by one if anything differs."""
        columns = head + ", ".join("%s AS a%d" % (text, i) for i, text in enumerate(texts))
        if not must_ship or not self.ships(self.plan("SELECT %s FROM edge x" % columns)):
            for text in texts:
                plan = self.plan("SELECT %s%s FROM edge x" % (head, text))
                if self.ships(plan) != must_ship:
                    self.report("local", text, " ".join(l.strip() for l in plan if "ot " in l)[:200])
        for tail in tails:
            if self.check("SELECT " + columns + tail)[0] == "equal":
                for text in texts:
                    self.report("equal", text + tail)
                continue
            for text in texts:
                outcome, detail = self.check("SELECT " + head + text + tail)
                self.report("equal" if outcome == "error" else outcome, text + tail, detail)

    def aggregates(self, texts, must_ship):
        for at in range(0, len(texts), BATCH):
            self.together(texts[at:at + BATCH], must_ship, "",
                          [" FROM edge x", " FROM edge x WHERE x.id < 0", " FROM edge x GROUP BY x.g ORDER BY x.g"])

    def windows(self, texts, must_ship):
        for at in range(0, len(texts), BATCH):
            self.together(texts[at:at + BATCH], must_ship, "x.id, ", [" FROM edge x ORDER BY x.id"])

    def whole_queries(self, queries):
        for query in queries:
            plan = self.plan(query)
            if not self.ships(plan):
                self.report("local", query, " ".join(l.strip() for l in plan if "ot " in l)[:200])
            outcome, detail = self.check(query)
            self.report("wrong" if outcome == "error" else outcome, query, detail)
