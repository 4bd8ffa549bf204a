#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# make demo: what a user came for, in a few minutes. Installs what is missing, builds, starts a private server, makes the
# manual's trades example and a shop of some 7 million rows, mirrors them, writes to them without pause, and asks the same
# questions of row tables and mirrors in one transaction: the answers must be equal, the times may not be.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
dir=${IVY_DEMO_DIR:-${TMPDIR:-/tmp}/ivy_mooncake_demo}
items=${IVY_DEMO_ITEMS:-5000000}

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

scripts/setup.sh build
say 'Building'
cmake --preset release >build-demo.log 2>&1 || { mkdir -p build; cat build-demo.log; exit 1; }
mv build-demo.log build/release/configure.log
cmake --build build/release -j "$(nproc)" --target all | tail -n 1
export IVY_BUILD=$root/build/release IVY_FSYNC=on
export IVY_CONF="shared_buffers = '1GB'
max_wal_size = '4GB'
checkpoint_timeout = '15min'"

say "Starting a private server in $dir"
if [ -e "$dir/data/postmaster.pid" ]; then scripts/server.sh stop "$dir" fast || true; fi
rm -rf "$dir"
scripts/server.sh start "$dir"
psql() { scripts/server.sh psql "$dir" -q -v ON_ERROR_STOP=1 "$@"; }
one() { psql -At -c "$1"; }

say 'CREATE EXTENSION pg_mooncake CASCADE'
psql -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION pg_mooncake CASCADE'
psql -c '\dx pg_*' -c "SELECT amname FROM pg_am WHERE amname = 'mooncake'" -c 'SELECT mooncake.bgworker_status()'

say "The manual's example"
psql -a <<'SQL'
CREATE TABLE trades1(id bigint PRIMARY KEY, symbol text, time timestamp, price real);
CALL mooncake.create_table('trades_iceberg', 'trades1');
INSERT INTO trades1 VALUES
  (1, 'AMD',  '2024-06-05 10:00:00', 119),
  (2, 'AMZN', '2024-06-05 10:05:00', 207),
  (3, 'AAPL', '2024-06-05 10:10:00', 203),
  (4, 'AMZN', '2024-06-05 10:15:00', 210);
SELECT symbol, count(*), max(price) FROM trades_iceberg GROUP BY symbol ORDER BY symbol;
UPDATE trades1 SET price = 120 WHERE id = 1;
DELETE FROM trades1 WHERE id = 2;
SELECT * FROM trades_iceberg ORDER BY id;
SQL

say "A shop: customers, products, orders and $items order items"
time psql <<SQL
CREATE TABLE customers (id int PRIMARY KEY, region varchar(12) NOT NULL, name text NOT NULL, joined date NOT NULL);
CREATE TABLE products (id int PRIMARY KEY, category varchar(20) NOT NULL, price numeric(10,2) NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, ordered timestamp NOT NULL, status char(1) NOT NULL);
CREATE TABLE order_items (id bigint PRIMARY KEY, order_id int NOT NULL, product_id int NOT NULL, quantity int NOT NULL,
                          price numeric(10,2) NOT NULL, discount numeric(4,2));
INSERT INTO customers SELECT i, (ARRAY['north','south','east','west'])[1 + i % 4], 'customer ' || i, date '2015-01-01' + i % 3650
  FROM generate_series(1, $items / 25) i;
INSERT INTO products SELECT i, 'category ' || i % 20, (i % 9973) / 100.0 + 1 FROM generate_series(1, 20000) i;
INSERT INTO orders SELECT i, 1 + (i::bigint * 7919) % ($items / 25), timestamp '2022-01-01' + i::bigint * 97 % 63072000 * interval '1 second', (ARRAY['N','P','S'])[1 + i % 3]
  FROM generate_series(1, $items / 4) i;
INSERT INTO order_items SELECT i, 1 + i / 4 % ($items / 4), 1 + (i * 104729) % 20000, 1 + i % 7, (i * 31 % 99990) / 100.0 + 0.1,
  CASE WHEN i % 5 = 0 THEN NULL ELSE i % 30 / 100.0 END FROM generate_series(1::bigint, $items) i;
ANALYZE;
SQL

say 'Mirrors: existing rows are copied while the tables stay writable'
for table in customers products orders order_items; do
    start=$(date +%s%N)
    psql -c "CALL mooncake.create_table('${table}_mirror', '$table')"
    rows=$(one "SELECT reltuples::bigint FROM pg_class WHERE oid = '$table'::regclass")
    ms=$((($(date +%s%N) - start) / 1000000))
    printf '%-12s %9s rows in %6s ms\n' "$table" "$rows" "$ms"
done
psql -c 'SELECT table_name, state, location FROM mooncake.columnstore_tables'

say 'A write load starts: inserts, updates and deletes from four clients'
cat >"$dir/load.sql" <<SQL
\set order random(1, $items / 4)
\set item random(1, $items)
BEGIN;
UPDATE orders SET status = 'P' WHERE id = :order;
UPDATE order_items SET quantity = quantity + 1 WHERE id = :item;
INSERT INTO order_items SELECT coalesce(max(id), 0) + 1 + :client_id * 100000000, :order, 1 + :item % 20000, 1, 9.99, NULL FROM order_items
  WHERE id BETWEEN $items + :client_id * 100000000 AND $items + (:client_id + 1) * 100000000 - 1;
DELETE FROM order_items WHERE id = :item AND :item % 10 = 0;
COMMIT;
SQL
eval "$(scripts/server.sh env "$dir")"
bindir=$("${PG_CONFIG:-/usr/lib/postgresql/18/bin/pg_config}" --bindir)
(cd / && exec "$bindir/pgbench" -n -c 4 -T 60 -f "$dir/load.sql" postgres) >"$dir/pgbench.log" 2>&1 &
load=$!
trap 'kill $load 2>/dev/null || true' EXIT
sleep 2

# compare TITLE SQL: SQL names mirrors; the row table's query is the same without "_mirror". Both run in one REPEATABLE
# READ transaction, so even under load the answers must be the same.
equal=0 total=0
compare() {
    local title=$1 mirror=$2 heap times
    heap=${mirror//_mirror/}
    times=$(psql <<SQL | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT 1 \g /dev/null
\timing on
\o $dir/mirror.out
$mirror;
\o $dir/heap.out
$heap;
\o
\timing off
COMMIT;
SQL
)
    total=$((total + 1))
    local verdict=DIFFERENT
    if cmp -s "$dir/mirror.out" "$dir/heap.out"; then verdict=equal; equal=$((equal + 1)); fi
    # shellcheck disable=SC2086  # two numbers
    set -- $times
    awk -v t="$title" -v m="${1:-0}" -v h="${2:-0}" -v v="$verdict" \
        'BEGIN { printf "%-46s %-9s mirror %9.1f ms   row table %9.1f ms   %6.1fx\n", t, v, m, h, (m > 0 ? h / m : 0) }'
}

say 'The same questions to mirrors and row tables, in one transaction, under load'
for round in 1 2; do
    printf -- '-- round %s\n' "$round"
    compare 'count' 'SELECT count(*) FROM order_items_mirror'
    compare 'revenue' 'SELECT sum(quantity * price), count(discount), min(price), max(price) FROM order_items_mirror'
    compare 'revenue by product, top 10' 'SELECT product_id, sum(quantity * price) AS revenue, avg(discount) FROM order_items_mirror GROUP BY product_id ORDER BY revenue DESC, product_id LIMIT 10'
    compare 'orders by quarter and status' "SELECT date_trunc('quarter', ordered) AS quarter, status, count(*) FROM orders_mirror GROUP BY quarter, status ORDER BY quarter, status"
    compare 'revenue by region and category (4-way join)' 'SELECT c.region, p.category, sum(i.quantity * i.price) AS revenue FROM order_items_mirror i JOIN orders_mirror o ON o.id = i.order_id JOIN customers_mirror c ON c.id = o.customer_id JOIN products_mirror p ON p.id = i.product_id GROUP BY c.region, p.category HAVING sum(i.quantity * i.price) > 10000 ORDER BY revenue DESC LIMIT 20'
    compare 'case and filter' "SELECT date_trunc('month', ordered) AS month, sum(CASE WHEN status = 'S' THEN 1 ELSE 0 END) AS shipped, count(*) FILTER (WHERE status = 'N') AS new FROM orders_mirror WHERE ordered >= timestamp '2022-06-01' GROUP BY month ORDER BY month"
done

say 'How the last kind of query ran'
psql -c "EXPLAIN (ANALYZE, BUFFERS off) SELECT product_id, sum(quantity * price) AS revenue FROM order_items_mirror GROUP BY product_id ORDER BY revenue DESC LIMIT 3"

say 'A reader right after a commit: the row is there at once'
psql -At <<'SQL'
INSERT INTO trades1 VALUES (100, 'NEW', now(), 1);
SELECT 'rows seen: ' || count(*) FROM trades_iceberg WHERE id = 100;
UPDATE trades1 SET price = 2 WHERE id = 100;
EXPLAIN (ANALYZE, BUFFERS off) SELECT price FROM trades_iceberg WHERE id = 100 \g | grep 'Freshness Wait'
SQL

kill $load 2>/dev/null || true
wait $load 2>/dev/null || true
trap - EXIT
say "$equal of $total answers equal"
grep -E 'number of transactions actually|^tps' "$dir/pgbench.log" || true
cat <<EOT

The server is still running. Connect:   $bindir/psql -h $dir -U postgres
Stop it:                                scripts/server.sh stop $dir
EOT
[ "$equal" -eq "$total" ]
