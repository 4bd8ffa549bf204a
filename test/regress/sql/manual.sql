-- SPDX-License-Identifier: Apache-2.0
-- The statements of the user manual, as printed there.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
SELECT extname FROM pg_extension WHERE extname IN ('pg_mooncake', 'pg_duckdb') ORDER BY 1;
SELECT amname FROM pg_am WHERE amname = 'mooncake';
SELECT s.guc_enabled, s.socket_exists, s.socket_listening FROM mooncake.bgworker_status() s;

CREATE TABLE trades1(
  id bigint PRIMARY KEY,
  symbol text,
  time timestamp,
  price real
);
CALL mooncake.create_table('trades_iceberg', 'trades1');
INSERT INTO trades1 VALUES
  (1,  'AMD', '2024-06-05 10:00:00', 119),
  (2, 	'AMZN', '2024-06-05 10:05:00', 207),
  (3, 	'AAPL', '2024-06-05 10:10:00', 203),
  (4, 	'AMZN', '2024-06-05 10:15:00', 210);
SELECT * FROM trades_iceberg ORDER BY id;
SELECT symbol, count(*), sum(price * 2) FROM trades_iceberg GROUP BY symbol ORDER BY symbol;

-- Schema changes follow.
CREATE TABLE trades (trade_id serial PRIMARY KEY, symbol text, quantity int, price decimal(10,2), status text DEFAULT 'new', trade_date date DEFAULT '2024-03-01');
CALL mooncake.create_table('trades_analytics', 'trades');
INSERT INTO trades (symbol, quantity, price) VALUES ('AAPL', 100, 150.00), ('AMD', 5, 99.5);
UPDATE trades SET status = 'filled' WHERE trade_id = 1;
DELETE FROM trades WHERE trade_id = 2;
SELECT symbol, SUM(quantity * price) as total_volume FROM trades_analytics WHERE trade_date >= '2024-01-01' GROUP BY symbol;
ALTER TABLE trades ADD COLUMN trade_status VARCHAR(20);
SELECT symbol, quantity, price, trade_status FROM trades_analytics WHERE trade_date >= '2024-01-01';
INSERT INTO trades (symbol, quantity, price, trade_status) VALUES ('IBM', 1, 2.5, 'done');
SELECT symbol, quantity, price, trade_status FROM trades_analytics WHERE trade_date >= '2024-01-01' ORDER BY trade_id;
ALTER TABLE trades DROP COLUMN status;
SELECT * FROM trades_analytics ORDER BY trade_id;

CREATE TABLE sales (id serial PRIMARY KEY, region text, sale_date date, amount decimal(10,2), customer_id int);
INSERT INTO sales (region, sale_date, amount, customer_id) SELECT (ARRAY['north','south'])[1 + i % 2], date '2023-01-01' + i, i * 100, i % 5 FROM generate_series(0, 399) i;
CALL mooncake.create_table('sales_columnstore', 'sales');
SELECT
  region,
  date_trunc('quarter', sale_date) AS quarter,
  SUM(amount) AS total_sales,
  COUNT(*) AS num_transactions,
  AVG(amount) AS avg_sale
FROM sales_columnstore
WHERE sale_date BETWEEN '2023-01-01' AND '2023-12-31'
GROUP BY region, quarter ORDER BY region, quarter;
UPDATE sales SET sale_date = CURRENT_DATE - (id % 30);
SELECT
  customer_id,
  SUM(amount) AS total_spent
FROM sales_columnstore
WHERE sale_date >= CURRENT_DATE - INTERVAL '1 year'
GROUP BY customer_id
HAVING SUM(amount) > 10000
ORDER BY total_spent DESC;

CREATE TABLE events (id bigint PRIMARY KEY, event_time timestamp, event_type text);
INSERT INTO events SELECT i, CURRENT_DATE + interval '1 hour' - (i % 3) * interval '1 day', CASE WHEN i % 4 = 0 THEN 'purchase' ELSE 'view' END FROM generate_series(1, 90) i;
CALL mooncake.create_table('events_columnstore', 'events');
SELECT day = CURRENT_DATE - (2 - (row_number() OVER (ORDER BY day))::int + 1), num_events, purchases FROM (
SELECT
  date_trunc('day', event_time) AS day,
  COUNT(*) AS num_events,
  SUM(CASE WHEN event_type = 'purchase' THEN 1 ELSE 0 END) AS purchases
FROM events_columnstore
WHERE event_time >= CURRENT_DATE - INTERVAL '30 days'
GROUP BY day
ORDER BY day) q;

CREATE TABLE orders (
    order_id SERIAL PRIMARY KEY,
    customer_id INTEGER NOT NULL,
    total_amount DECIMAL(10,2) NOT NULL,
    order_date TIMESTAMP NOT NULL DEFAULT NOW()
);
CALL mooncake.create_table('orders_analytics', 'orders');
INSERT INTO orders (customer_id, total_amount) VALUES (123, 99.99);
UPDATE orders SET total_amount = 149.99 WHERE order_id = 1;
SELECT customer_id, SUM(total_amount)
FROM orders_analytics
WHERE order_date >= CURRENT_DATE
GROUP BY customer_id;

SELECT table_name, source_table, state, location IS NOT NULL AS located FROM mooncake.columnstore_tables ORDER BY table_name::text COLLATE "C";
DROP TABLE trades1, trades, sales, events, orders CASCADE;
SELECT count(*) FROM mooncake.columnstore_tables;
