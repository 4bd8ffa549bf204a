-- SPDX-License-Identifier: Apache-2.0
SET search_path = mirror, public;
\pset tuples_only on
\pset format unaligned
SELECT ivy_split('SELECT c, avg(n), avg(i8), avg(id), avg(f8) FROM a GROUP BY c');
SELECT ivy_split('SELECT c, to_char(sum(n), ''999'') FROM a GROUP BY c HAVING count(*) > 1 ORDER BY 2 LIMIT 3');
SELECT ivy_split('SELECT c, avg(n) FROM a GROUP BY c HAVING stddev(n) > 1');
SELECT ivy_split('SELECT sum(CASE WHEN bo THEN n ELSE 0 END) / sum(n) FROM a');
SELECT ivy_split('SELECT t COLLATE "en-x-icu" AS t FROM a UNION SELECT t FROM "B b" ORDER BY 1 LIMIT 2');
SELECT ivy_split('SELECT a.js ->> ''k'', x.t FROM a JOIN "B b" x ON x.a_id = a.id ORDER BY a.t COLLATE "en-x-icu"');
SELECT ivy_split('SELECT js ->> ''k'' FROM a WHERE id > 3');
SELECT ivy_split('SELECT c, bo, grouping(c), rank() OVER (ORDER BY avg(n)) FROM a GROUP BY ROLLUP (c, bo)');
SELECT ivy_split('SELECT avg(n) FILTER (WHERE bo), avg(DISTINCT id) FROM a HAVING avg(n) > (SELECT avg(n) FROM "B b")');
SELECT ivy_split('SELECT id FROM a WHERE t ~ ''x''');
