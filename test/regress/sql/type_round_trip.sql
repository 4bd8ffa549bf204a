-- SPDX-License-Identifier: Apache-2.0
-- Values through a column chunk and back are the same Datums, whatever the session's settings.
CREATE FUNCTION roundtrip(anyelement, typmod int DEFAULT -1) RETURNS anyelement LANGUAGE c AS 'ivy_types_test', 'roundtrip';
CREATE FUNCTION column_type(regtype, typmod int DEFAULT -1) RETURNS text LANGUAGE c AS 'ivy_types_test', 'column_type';
CREATE FUNCTION same(anyelement) RETURNS boolean LANGUAGE sql AS $$ SELECT record_send(ROW($1)) = record_send(ROW(roundtrip($1))) $$;

-- Every precision and scale that DECIMAL has: largest, smallest, one digit, random digits with zeros between.
DO $$
DECLARE
    text_value text; value numeric; result numeric; count int := 0; digit int;
BEGIN
    FOR p IN 1..38 LOOP
        FOR s IN 0..p LOOP
            FOR kind IN 1..10 LOOP
                text_value := '';
                FOR k IN 1..p LOOP
                    digit := CASE kind WHEN 1 THEN 9 WHEN 2 THEN 0 WHEN 3 THEN (k = 1)::int WHEN 4 THEN (k = p)::int
                             ELSE CASE WHEN random() < 0.4 THEN 0 ELSE floor(random() * 10) END END;
                    text_value := text_value || digit;
                END LOOP;
                value := (CASE WHEN kind % 2 = 0 THEN '-' ELSE '' END || '0' || left(text_value, p - s) || '.' || right(text_value, s))::numeric;
                result := roundtrip(value, ((p << 16) | s) + 4);
                IF result IS NULL OR numeric_send(result) <> numeric_send(value) THEN
                    RAISE EXCEPTION 'numeric(%,%): % became %', p, s, value, result;
                END IF;
                count := count + 1;
            END LOOP;
        END LOOP;
    END LOOP;
    RAISE NOTICE '% numeric values are the same', count;
END $$;
-- not storable: NaN, infinity, another display scale, too many digits; all of it in text form
SELECT roundtrip('NaN'::numeric, 655366), roundtrip('Infinity'::numeric, 655366), roundtrip(1.5, 655366), roundtrip(123456789.00, 655366);
SELECT roundtrip('NaN'::numeric), roundtrip('-Infinity'::numeric), roundtrip(1.500), roundtrip(3e-20), roundtrip(1e200) = 1e200;
SELECT column_type('numeric', 655366), column_type('numeric'), column_type('numeric', ((5 << 16) | (-2 & 2047)) + 4), column_type('numeric', ((39 << 16) | 2) + 4);
SELECT column_type('regclass'), column_type('jsonb'), column_type('int[]'), column_type('timestamptz'), column_type('interval');

SELECT v, same(v) FROM (VALUES ('infinity'::timestamp), ('-infinity'), ('4713-01-01 BC'), ('2024-02-29 12:34:56.789012'), ('294246-12-31'),
    ('294247-01-10 04:00:54.775806'), ('294247-01-10 04:00:54.775807')) x(v);
SELECT v, same(v) FROM (VALUES ('infinity'::date), ('-infinity'), ('4713-01-01 BC'), ('5874897-12-31')) x(v);
SELECT v, same(v) FROM (VALUES ('infinity'::interval), ('-infinity'), ('1 mon -3 days 04:05:06.7'), ('-178000000 years')) x(v);
SELECT v, same(v) FROM (VALUES ('24:00'::time), ('0:0'), ('23:59:59.999999')) x(v);
SELECT v, same(v) FROM (VALUES ('-0'::float8), ('NaN'), ('-Infinity'), (1e-310), (0.1)) x(v);
SELECT v, same(v) FROM (VALUES ('-0'::float4), ('NaN'), ('-Infinity'), (1e-40), (0.1)) x(v);
SELECT v, same(v) FROM (VALUES ('\x0001ff'::bytea), ('')) x(v);
SELECT v, same(v) FROM (VALUES (array[1, null, 3]), ('{}'::int[]), ('[2:3]={5,6}')) x(v);
SELECT same(true), same(1::smallint), same(1::bigint), same('ab  '::bpchar), same(''::text), same('a'::name), same('{"a": 1.10}'::jsonb),
    same('{"a":1.10,  "b":1}'::json), same('pg_class'::regclass), same(4294967295::oid), same('12.34'::money), same('x'::"char"), same(B'0101'),
    same('1.2.3.4/8'::inet), same('a b'::tsvector), same('12:00+05:30'::timetz), same('00112233-4455-6677-8899-aabbccddeeff'::uuid);

-- text form under settings of all kinds
SET timezone = 'Asia/Kolkata';
SET datestyle = 'sql, dmy';
SET intervalstyle = 'sql_standard';
SET bytea_output = 'escape';
SET extra_float_digits = -10;
SELECT same(array['2024-03-04 01:02:03.456+00'::timestamptz, 'infinity']), same(array['1 mon -3 days 04:05:06.7'::interval, '-1 day +1 hour']),
    same(array['\x00ff'::bytea, '\\']), same(array[0.1::float8 + 0.2::float8, 1e300]), same(tstzrange('2024-03-04 01:02:03.456+00', null));
SHOW datestyle;
SHOW timezone;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN positive AS numeric(10, 2) CHECK (value > 0);
CREATE TYPE pair AS (x int, y timestamptz);
SELECT same('happy'::mood), same(5.50::positive), column_type('positive'), same(row(1, '2024-03-04 01:02:03.456+00')::pair);
-- names of catalog objects may change: not stored as text
SELECT roundtrip(array['pg_class'::regclass]);
