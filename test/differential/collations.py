# SPDX-License-Identifier: Apache-2.0
"""Texts under locales of the C library, which this test makes for itself, on a row table and on its mirror: order,
comparison, least and greatest. ICU's locales are in signatures.py.

    collations.py
"""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from ivy_server import Server, wait_live  # noqa: E402

LOCALES = ["en_US", "sv_SE", "de_DE"]
TEXTS = ["", "a", "A", "ab", "Ab", "B", "äöü", "abc", " pad", "Zebra", "zebra", "é", "e", "f", "ß", "ss", "1", "10", "2", "_a", "-a", "a-b", "ab-", "日本",
         "\U0001f600", "Éa", "eb", "å", "z", "o\u0308", "ö", "v", "w", "x\u00a0y", "it's"]
QUERIES = ["SELECT x.id, y.id, x.t < y.t, x.t >= y.t, x.t <= 'ab', x.t = y.t FROM {} x, {} y ORDER BY 1, 2", "SELECT min(t), max(t) FROM {}",
           "SELECT id % 3, min(t), max(t) FROM {} GROUP BY 1 ORDER BY 1", "SELECT id FROM {} WHERE t BETWEEN 'a' AND 'f' ORDER BY 1",
           "SELECT id, min(t) OVER (PARTITION BY id % 4 ORDER BY id) FROM {} ORDER BY 1", "SELECT t, id FROM {} ORDER BY t, id",
           "SELECT t, count(*) FROM {} GROUP BY t HAVING t > 'b' ORDER BY t DESC"]


def main():
    folder = tempfile.mkdtemp(prefix="ivy-locales-")
    os.chmod(folder, 0o755)
    for locale in LOCALES:
        try:
            made = subprocess.run(["localedef", "-i", locale, "-f", "UTF-8", os.path.join(folder, locale + ".UTF-8")], capture_output=True, check=False)
        except FileNotFoundError:
            made = None
        if made is None or not os.path.isdir(os.path.join(folder, locale + ".UTF-8")):
            print("SKIPPED: localedef can't make locale %s" % locale)
            return 77
    os.environ["LOCPATH"] = folder
    different = local = 0
    with Server() as server, server.connect(autocommit=True) as c:
        for number, locale in enumerate(LOCALES):
            c.execute("CREATE COLLATION c%d (provider = libc, locale = '%s.UTF-8')" % (number, locale))
            c.execute("CREATE TABLE h%d (id int PRIMARY KEY, t text COLLATE c%d)" % (number, number))
            c.cursor().executemany("INSERT INTO h%d VALUES (%%s, %%s)" % number, list(enumerate(TEXTS)))
            c.execute("CALL mooncake.create_table('m%d', 'h%d')" % (number, number))
            wait_live(c, "m%d" % number)
            for query in QUERIES:
                heap, mirror = (query.replace("{}", "%s%d" % (table, number)) for table in "hm")
                plan = [row[0] for row in c.execute("EXPLAIN (COSTS off) " + mirror)]
                same = c.execute(heap).fetchall() == c.execute(mirror).fetchall()
                # Order itself is Postgres's work: the C library has no sort keys to rely on.
                whole = "ColumnarScan" in plan[0]
                different += not same
                local += not whole and "ORDER BY t" not in query
                print("%s %-9s %s  %s" % (locale, "equal" if same else "DIFFERENT", "whole" if whole else "split", query))
    print("%d different, %d not shipped" % (different, local))
    return 1 if different or local else 0


if __name__ == "__main__":
    sys.exit(main())
