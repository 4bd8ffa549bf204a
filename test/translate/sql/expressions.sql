-- SPDX-License-Identifier: Apache-2.0
SET timezone = 'UTC';
SET search_path = mirror, public;
\pset tuples_only on
\pset format unaligned
-- Numerics carry their display scale
SELECT ivy_translate('SELECT n + 1, n * 0.25, n - 1.00000, round(n, 1), n::numeric(8,1), coalesce(n, 0.000) FROM a');
SELECT ivy_translate('SELECT coalesce(n, 0) FROM a');
SELECT ivy_translate('SELECT id FROM a WHERE coalesce(n, 0) > 1 AND n * $1 > 3.5');
SELECT ivy_translate('SELECT n * $1 FROM a');
SELECT ivy_translate('SELECT n / 3 FROM a');
SELECT ivy_translate('SELECT un FROM a WHERE un IS NOT NULL');
SELECT ivy_translate('SELECT un FROM a WHERE un > 1');
SELECT ivy_translate('SELECT avg(n) FROM a');
-- Values
SELECT ivy_translate('SELECT id FROM a WHERE ts > now() - interval ''1 day'' AND d >= current_date - interval ''1 year''');
SELECT ivy_translate('SELECT id + $1, $1 FROM a WHERE id = $1::int AND t = $2');
SELECT ivy_translate('SELECT id FROM a WHERE id = ANY ($1::int[]) AND n <> ALL ($2::numeric[]) AND t = ANY (ARRAY[$3, ''x''])');
SELECT ivy_translate('SELECT id FROM a WHERE random() < 0.5');
SELECT ivy_translate('SELECT sql_inlined(id) FROM a');
SELECT ivy_translate('SELECT opaque(id), opaque(3) FROM a');
SELECT ivy_literal(x) FROM unnest(ARRAY['it''s', '{mirror:0}', '\', E'\n', '']) x;
SELECT ivy_literal(x) FROM unnest(ARRAY['NaN', 'Infinity', '-Infinity', '-0', '0.1', '1e-320', '1.7976931348623157e308']::float8[]) x;
SELECT ivy_literal(x) FROM unnest(ARRAY['0', '-0.00', '1e37', '1e38', '0.00000000000000000000000000000000000001', 'NaN', 'Infinity']::numeric[]) x;
SELECT ivy_literal(x) FROM unnest(ARRAY['infinity', '-infinity', '4713-01-01 BC', '1970-01-01', '294276-12-31 23:59:59']::timestamp[]) x;
SELECT ivy_literal(x) FROM unnest(ARRAY['1 mon -2 days 3.000001', 'infinity']::interval[]) x;
SELECT ivy_literal(ARRAY[1, NULL, 3]), ivy_literal(ARRAY[1.5, 2.25]), ivy_literal('{}'::text[]), ivy_literal(NULL::numeric), ivy_literal('\x00ff'::bytea);
-- Text and collations
SELECT ivy_translate('SELECT id FROM a WHERE t = ''x'' AND b = ''ab'' AND v LIKE ''a%'' AND t LIKE ''a\_b'' AND t NOT LIKE v');
SELECT ivy_translate('SELECT id FROM a WHERE c < ''x'' ORDER BY c');
SELECT regexp_replace(ivy_translate('SELECT id FROM a WHERE t COLLATE "en-x-icu" < ''x'''), '\|[0-9.]+\|', '|version|', 'g');
SELECT regexp_replace(ivy_translate('SELECT upper(c), upper(t COLLATE "en-x-icu") FROM a'), '\|[0-9.]+\|', '|version|', 'g');
SELECT ivy_translate('SELECT substring(t, 2, 3), substring(t, -1), left(t, -1) FROM a');
-- Booleans and choices
SELECT ivy_translate('SELECT bo IS NOT TRUE, NOT bo, bo AND id > 1 OR f8 IS NULL, nullif(id, 3), greatest(id, 5), id IS DISTINCT FROM 4 FROM a');
SELECT ivy_translate('SELECT CASE id WHEN 1 THEN ''one'' ELSE t END, CASE WHEN id > 0 THEN n END FROM a');
SELECT ivy_translate('SELECT id FROM a WHERE (id, i8) < (3, 4) AND id NOT IN (1, 2, NULL)');
-- Dates and times
SELECT ivy_translate('SELECT d + 1, d - date ''2020-01-01'', d + interval ''1 month'', extract(year from d), extract(second from ts), date_part(''hour'', ts) FROM a');
SELECT ivy_translate('SELECT date_trunc(''quarter'', d), tz::date FROM a');
SET timezone = 'Europe/Vienna';
SELECT ivy_translate('SELECT date_trunc(''quarter'', d), tz::date FROM a');
SELECT ivy_translate('SELECT id FROM a WHERE tz >= date ''2024-01-01''');
-- What isn't shipped says why
SELECT ivy_translate('SELECT to_char(ts, ''TMMonth''), t ~ ''x'', js ->> ''a'', arr[1:2], a, ctid FROM a');
SELECT ivy_translate('SELECT id FROM a TABLESAMPLE bernoulli (10)');
SELECT ivy_translate('SELECT id FROM a FOR UPDATE');
SELECT ivy_translate('SELECT string_agg(t, '','' ORDER BY id), stddev(n), array_agg(id) FROM a');
SELECT ivy_translate('SELECT generate_series(1, id) FROM a');
SELECT ivy_translate('SELECT pos + 1, pos::int::positive FROM a');
SELECT ivy_translate('SELECT js = ''{}'' FROM a GROUP BY js');
-- Casts by way of text, formats and concatenations ask for settings when the query runs
SELECT ivy_translate('SELECT t::int, t::date, ts::text, d::text, to_char(ts, ''YYYY-MM'') FROM a');
SELECT ivy_translate('SELECT concat(d, '' '', b), format(''%s%%'', t) FROM a');
SELECT ivy_translate('SELECT t COLLATE "C" ILIKE ''a%'', t ~* ''^a.'' FROM a');
SELECT ivy_translate('SELECT arr[2], cardinality(arr), id = ANY (arr) FROM a, unnest(arr) AS el WHERE el > 1');
