# SPDX-License-Identifier: Apache-2.0
"""Tables that change while their mirror is being made: columns come and go, rows change, within the moments between
create_table with {"wait": false} and the end of the copy. Each round ends with a comparison. The seed is printed.

    early_changes.py [--seed N] [--rounds N]
"""

import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from ivy_server import Server, compare, wait_live  # noqa: E402

STEPS = [
    "ALTER TABLE t ADD COLUMN extra%d text",
    "UPDATE t SET v = v + 1 WHERE id %% 10 = %d %% 10",
    "ALTER TABLE t DROP COLUMN IF EXISTS extra%d",
    "UPDATE t SET v = v + 1, id = id + 100000 WHERE id %% 50 = %d %% 50",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS filled%d int DEFAULT 5",
    "DELETE FROM t WHERE id %% 97 = %d %% 97",
    "INSERT INTO t (id, v) SELECT i, i FROM generate_series(200000 + %d * 1000, 200500 + %d * 1000) i",
    "ALTER TABLE t ALTER COLUMN v TYPE bigint USING v + %d * 0",
    "TRUNCATE t",
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randint(1, 10**9))
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    r = random.Random(options.seed)
    with Server(conf="log_min_error_statement = panic") as server, server.connect(autocommit=True) as c:
        c.execute("SET client_min_messages = error")
        for turn in range(options.rounds):
            c.execute("CREATE TABLE t (id int PRIMARY KEY, v int, pad text)")
            c.execute("INSERT INTO t SELECT i, i, repeat('x', 50) FROM generate_series(1, %d) i" % r.choice([10, 1000, 5000]))
            c.execute("""CALL mooncake.create_table('m', 't', '{"wait": false}')""")
            said = []
            # The four steps that once failed, in order, every other time.
            steps = [STEPS[i] % 1 for i in range(4)] if turn % 2 == 0 else None
            for i in range(4 if steps else r.randint(2, 8)):
                step = steps[i] if steps else r.choice(STEPS[:-1] * 3 + STEPS[-1:])
                step = step if steps else step.replace("%d", str(i)).replace("%%", "%")
                said.append(step)
                c.execute(step)
                if r.random() < 0.7:
                    time.sleep(r.choice([0, 0.002, 0.005, 0.01, 0.02]))
            context = "seed %d, round %d, after %s" % (options.seed, turn, "; ".join(said))
            try:
                wait_live(c, "m", 20)
            except TimeoutError as error:
                state = c.execute("SELECT state, error FROM mooncake.mirrors").fetchone()
                raise AssertionError("%s: %s" % (context, state)) from error
            compare(c, "t", "m", context=context)
            failures = c.execute("SELECT failures FROM mooncake.mirrors").fetchone()[0]
            if failures:
                raise AssertionError("%s: the mirror failed %d times" % (context, failures))
            c.execute("DROP TABLE t CASCADE")
    print("%d rounds" % options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
