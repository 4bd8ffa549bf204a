-- SPDX-License-Identifier: Apache-2.0
SET timezone = 'UTC';
SET search_path = mirror, public;
\pset tuples_only on
\pset format unaligned
-- FROM, joins, names
SELECT ivy_translate('SELECT id, "i 2" FROM a');
SELECT ivy_translate('SELECT * FROM "B b" WHERE "c1" > 3');
SELECT ivy_translate('SELECT 1');
SELECT ivy_translate('SELECT a.id, x.n FROM a JOIN "B b" x ON a.id = x.a_id AND x.n > 1 WHERE a.bo');
SELECT ivy_translate('SELECT a.id, x.n FROM a LEFT JOIN "B b" x ON a.id = x.a_id LEFT JOIN "B b" y ON y.id = x.id');
SELECT ivy_translate('SELECT id, a.n, y.n FROM a FULL JOIN "B b" y USING (id)');
SELECT ivy_translate('SELECT count(*) FROM a CROSS JOIN "B b"');
SELECT ivy_translate('SELECT a.id, s.m FROM a, LATERAL (SELECT max(n) AS m FROM "B b" WHERE a_id = a.id) s');
SELECT ivy_translate('SELECT * FROM (VALUES (1, ''x''), (2, NULL)) v(k, w) JOIN a ON a.id = v.k');
SELECT ivy_translate('SELECT doubled FROM va WHERE id = 3');
SELECT ivy_translate('SELECT gen FROM a WHERE gen > 4');
SELECT ivy_translate('SELECT a.id FROM a JOIN generate_series(1, 10) g ON g = a.id');
-- Row tables: columns and filters that Postgres applies
SELECT ivy_translate('SELECT a.id, r.t FROM a JOIN r ON r.id = a.id WHERE r.js ->> ''k'' = ''x'' AND r.i4 > 5 AND a.id + r.i4 > 7');
SELECT ivy_translate('SELECT a.id, r.t FROM a LEFT JOIN r ON r.id = a.id AND r.t ~ ''^x'' AND a.bo');
SELECT ivy_translate('SELECT a.id, r.t FROM a LEFT JOIN r ON r.id = a.id WHERE r.t ~ ''^x''');
SELECT ivy_translate('SELECT a.id, s.m FROM a JOIN (SELECT id, max(quote_ident(js::text)) m FROM r GROUP BY id) s ON s.id = a.id');
SELECT ivy_translate('SELECT count(*) FROM r');
-- Grouping
SELECT ivy_translate('SELECT t, count(*), sum(n) FROM a GROUP BY t HAVING sum(n) > 10 ORDER BY 3 DESC LIMIT 5');
SELECT ivy_translate('SELECT date_trunc(''month'', ts) AS m, sum(i8) FILTER (WHERE bo) FROM a GROUP BY m ORDER BY m');
SELECT ivy_translate('SELECT c, bo, grouping(c, bo), count(*) FROM a GROUP BY GROUPING SETS ((c, bo), (c), ()) ORDER BY 1, 2');
SELECT ivy_translate('SELECT c, bo, count(*) FROM a GROUP BY CUBE (c, bo)');
SELECT ivy_translate('SELECT a.id, a.t, count(*) FROM a JOIN "B b" x ON x.a_id = a.id GROUP BY a.id');
SELECT ivy_translate('SELECT 1 FROM a HAVING count(*) > 3');
SELECT ivy_translate('SELECT count(DISTINCT n), sum(DISTINCT i8) FROM a');
SELECT ivy_translate('SELECT id % 3 AS g, max(d) FROM a GROUP BY id % 3 ORDER BY id % 3');
SELECT ivy_translate('SELECT b, count(*) FROM a GROUP BY b');
SELECT ivy_translate('SELECT e, count(*) FROM a GROUP BY e');
-- DISTINCT, ORDER BY, LIMIT
SELECT ivy_translate('SELECT DISTINCT t FROM a');
SELECT ivy_translate('SELECT DISTINCT ON (c) c, id FROM a ORDER BY c, d DESC');
SELECT ivy_translate('SELECT id FROM a ORDER BY n DESC NULLS LAST, id OFFSET 2 LIMIT 3');
SELECT ivy_translate('SELECT id FROM a ORDER BY b COLLATE "C", id USING >');
SELECT ivy_translate('SELECT t FROM a ORDER BY t COLLATE "C"');
SELECT ivy_translate('SELECT id FROM a LIMIT $1');
-- Set operations and WITH
SELECT ivy_translate('SELECT id, n FROM a UNION ALL SELECT a_id, NULL FROM "B b" ORDER BY 1');
SELECT ivy_translate('SELECT id FROM a UNION SELECT id FROM "B b" INTERSECT SELECT a_id FROM "B b" EXCEPT ALL SELECT 1');
SELECT ivy_translate('SELECT n FROM a UNION ALL SELECT n FROM "B b"');
SELECT ivy_translate('SELECT count(*) FROM (SELECT n FROM a UNION ALL SELECT n FROM "B b") s WHERE n > 1');
SELECT ivy_translate('WITH w AS (SELECT id, n FROM a WHERE bo), x AS MATERIALIZED (SELECT id FROM w) SELECT * FROM w JOIN x USING (id)');
SELECT ivy_translate('WITH RECURSIVE g(k) AS (SELECT min(id) FROM a UNION ALL SELECT k + 1 FROM g WHERE k < 10) SELECT sum(k) FROM g');
-- Subqueries
SELECT ivy_translate('SELECT id FROM a WHERE EXISTS (SELECT js FROM "B b" x, r WHERE x.a_id = a.id)');
SELECT ivy_translate('SELECT id FROM a WHERE id IN (SELECT a_id FROM "B b") AND t NOT IN (SELECT t FROM "B b")');
SELECT ivy_translate('SELECT id FROM a WHERE (id, t) IN (SELECT a_id, t FROM "B b")');
SELECT ivy_translate('SELECT id FROM a WHERE NOT (id, t) IN (SELECT a_id, t FROM "B b")');
SELECT ivy_translate('SELECT id, (SELECT sum(n) FROM "B b" WHERE a_id = a.id) FROM a WHERE n > ALL (SELECT n FROM "B b")');
SELECT ivy_translate('SELECT count(*), (SELECT max(id) FROM "B b" WHERE t = a.t) FROM a GROUP BY t');
SELECT ivy_translate('SELECT id = ANY (SELECT a_id FROM "B b") OR bo FROM a');
-- Aggregates that depend on the order of rows
SELECT ivy_translate('SELECT bo, array_agg(id ORDER BY n DESC), string_agg(DISTINCT c, '','') FROM a GROUP BY bo');
SELECT ivy_translate('SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f8), mode() WITHIN GROUP (ORDER BY c) FROM a');
SELECT ivy_translate('SELECT percentile_disc(ARRAY[0.1, NULL]) WITHIN GROUP (ORDER BY d DESC) FILTER (WHERE bo) FROM a');
SELECT ivy_translate('SELECT dense_rank(1, ''x'') WITHIN GROUP (ORDER BY id, c DESC NULLS LAST) FROM a');
SELECT ivy_translate('SELECT array_agg(id) FROM (SELECT id FROM a ORDER BY t) s');
SELECT ivy_translate('WITH s AS (SELECT id FROM a ORDER BY d) SELECT array_agg(id) FROM s');
SELECT ivy_translate('SELECT corr(f8, id), stddev(f8) FILTER (WHERE bo), sum(f8 ORDER BY id) FROM a');
-- Window functions
SELECT ivy_translate('SELECT id, row_number() OVER (PARTITION BY bo ORDER BY d DESC), lag(n, 2) OVER w, sum(n) OVER (w ROWS 3 PRECEDING) FROM a WINDOW w AS (ORDER BY id)');
SELECT ivy_translate('SELECT bo, sum(sum(n)) OVER (ORDER BY bo) FROM a GROUP BY bo');
SELECT ivy_translate('SELECT sum(f8) OVER (ORDER BY id) FROM a');
-- No columns at all
SELECT ivy_translate('SELECT FROM a');
SELECT ivy_translate('SELECT a.id FROM a, LATERAL (SELECT FROM r) s');
