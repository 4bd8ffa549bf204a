-- SPDX-License-Identifier: Apache-2.0
-- The columns of ClickBench's table that its queries name, with the benchmark's types, and rows made by hashing row numbers:
-- the same on every machine, with the value domains that the queries select from. :rows is their number.
CREATE SCHEMA heap;
CREATE SCHEMA mirror;
SET search_path = heap;

CREATE TABLE hits (
    watchid bigint NOT NULL, title text NOT NULL, eventtime timestamp NOT NULL, eventdate date NOT NULL, counterid integer NOT NULL,
    clientip integer NOT NULL, regionid integer NOT NULL, userid bigint NOT NULL, url text NOT NULL, referer text NOT NULL,
    isrefresh smallint NOT NULL, resolutionwidth smallint NOT NULL, mobilephone smallint NOT NULL, mobilephonemodel text NOT NULL,
    traficsourceid smallint NOT NULL, searchengineid smallint NOT NULL, searchphrase text NOT NULL, advengineid smallint NOT NULL,
    windowclientwidth smallint NOT NULL, windowclientheight smallint NOT NULL, islink smallint NOT NULL, isdownload smallint NOT NULL,
    dontcounthits smallint NOT NULL, hitcolor char NOT NULL, refererhash bigint NOT NULL,
    urlhash bigint NOT NULL, useragentminor varchar(255) NOT NULL,
    PRIMARY KEY (counterid, eventdate, userid, eventtime, watchid));

-- A number in [0, n) that depends on a row and on what it is for; small numbers are more frequent.
CREATE FUNCTION pick(row_number bigint, purpose int, n int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((hashint8extended(row_number, purpose) % n + n) % n)::int;
CREATE FUNCTION skewed(row_number bigint, purpose int, n int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (heap.pick(row_number, purpose, n)::bigint * heap.pick(row_number, purpose + 1000, n) / n)::int;
CREATE FUNCTION site(number int) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (ARRAY['http://www.google.com/', 'https://example.ru/', 'http://maps.google.ru/', 'https://www.покупки.рф/', 'ftp://none',
                  'http://a.b.c/d/e', ''])[1 + number % 7] || CASE WHEN number % 7 < 4 THEN 'page' || number / 7 ELSE '' END;

INSERT INTO hits
SELECT i * 1000003::bigint, (ARRAY['', 'Google поиск', 'News of the day', 'Яндекс.Погода', 'Title 100%'])[1 + heap.skewed(i, 1, 5)] || heap.pick(i, 2, 40),
       timestamp '2013-07-01' + heap.pick(i, 3, 31 * 86400) * interval '1 second', date '2013-07-01' + heap.pick(i, 3, 31 * 86400) / 86400,
       (ARRAY[62, 62, 17, 1001, 7])[1 + heap.pick(i, 4, 5)], heap.skewed(i, 5, 200) - 100, heap.skewed(i, 6, 60),
       CASE WHEN heap.pick(i, 7, 500) = 0 THEN 435090932899640449 ELSE hashint8extended(heap.skewed(i, 7, 900), 7) END,
       heap.site(heap.skewed(i, 8, 3000)), heap.site(heap.skewed(i, 9, 200)), (heap.pick(i, 10, 10) = 0)::int, 320 + heap.pick(i, 11, 1600),
       heap.skewed(i, 12, 8), (ARRAY['', '', 'iPhone', 'Nokia 3310', 'телефон'])[1 + heap.pick(i, 13, 5)], heap.pick(i, 14, 8) - 1,
       heap.skewed(i, 15, 6), (ARRAY['', '', '', 'карта мира', 'buy', 'weather'])[1 + heap.pick(i, 16, 6)] || CASE WHEN heap.pick(i, 16, 6) > 2 THEN ' ' || heap.skewed(i, 17, 300) ELSE '' END,
       CASE WHEN heap.pick(i, 18, 4) = 0 THEN heap.pick(i, 19, 20) ELSE 0 END, heap.pick(i, 20, 30) * 50, heap.pick(i, 21, 20) * 50,
       (heap.pick(i, 22, 3) = 0)::int, (heap.pick(i, 23, 20) = 0)::int, (heap.pick(i, 24, 15) = 0)::int, substr('abcDE', 1 + heap.pick(i, 25, 5), 1),
       CASE WHEN heap.pick(i, 26, 3) = 0 THEN 3594120000172545465 ELSE hashint8extended(i, 26) END,
       CASE WHEN heap.pick(i, 27, 3) = 0 THEN 2868770270353813622 ELSE hashint8extended(heap.skewed(i, 8, 3000), 27) END, 'v' || heap.pick(i, 28, 9)
FROM generate_series(1, :rows) AS i;
ANALYZE hits;
