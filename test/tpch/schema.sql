-- SPDX-License-Identifier: Apache-2.0
-- The eight tables of TPC-H, and rows made by hashing row numbers: the same on every machine, with the value domains that
-- the queries select from. :orders is the number of orders.
CREATE SCHEMA heap;
CREATE SCHEMA mirror;
SET search_path = heap;

CREATE TABLE region (r_regionkey int PRIMARY KEY, r_name char(25) NOT NULL, r_comment varchar(152));
CREATE TABLE nation (n_nationkey int PRIMARY KEY, n_name char(25) NOT NULL, n_regionkey int NOT NULL, n_comment varchar(152));
CREATE TABLE supplier (s_suppkey int PRIMARY KEY, s_name char(25) NOT NULL, s_address varchar(40) NOT NULL, s_nationkey int NOT NULL,
    s_phone char(15) NOT NULL, s_acctbal decimal(15,2) NOT NULL, s_comment varchar(101) NOT NULL);
CREATE TABLE customer (c_custkey int PRIMARY KEY, c_name varchar(25) NOT NULL, c_address varchar(40) NOT NULL, c_nationkey int NOT NULL,
    c_phone char(15) NOT NULL, c_acctbal decimal(15,2) NOT NULL, c_mktsegment char(10) NOT NULL, c_comment varchar(117) NOT NULL);
CREATE TABLE part (p_partkey int PRIMARY KEY, p_name varchar(55) NOT NULL, p_mfgr char(25) NOT NULL, p_brand char(10) NOT NULL,
    p_type varchar(25) NOT NULL, p_size int NOT NULL, p_container char(10) NOT NULL, p_retailprice decimal(15,2) NOT NULL, p_comment varchar(23) NOT NULL);
CREATE TABLE partsupp (ps_partkey int NOT NULL, ps_suppkey int NOT NULL, ps_availqty int NOT NULL, ps_supplycost decimal(15,2) NOT NULL,
    ps_comment varchar(199) NOT NULL, PRIMARY KEY (ps_partkey, ps_suppkey));
CREATE TABLE orders (o_orderkey int PRIMARY KEY, o_custkey int NOT NULL, o_orderstatus char(1) NOT NULL, o_totalprice decimal(15,2) NOT NULL,
    o_orderdate date NOT NULL, o_orderpriority char(15) NOT NULL, o_clerk char(15) NOT NULL, o_shippriority int NOT NULL, o_comment varchar(79) NOT NULL);
CREATE TABLE lineitem (l_orderkey int NOT NULL, l_partkey int NOT NULL, l_suppkey int NOT NULL, l_linenumber int NOT NULL,
    l_quantity decimal(15,2) NOT NULL, l_extendedprice decimal(15,2) NOT NULL, l_discount decimal(15,2) NOT NULL, l_tax decimal(15,2) NOT NULL,
    l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL,
    l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL, l_comment varchar(44) NOT NULL, PRIMARY KEY (l_orderkey, l_linenumber));

-- A number in [0, n) that depends on a row and on what it is for.
CREATE FUNCTION pick(row_number bigint, purpose int, n int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((hashint8extended(row_number, purpose) % n + n) % n)::int;
CREATE FUNCTION word(row_number bigint, purpose int, words text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN words[1 + heap.pick(row_number, purpose, cardinality(words))];

INSERT INTO region SELECT i - 1, name, 'region ' || name
    FROM unnest('{AFRICA,AMERICA,ASIA,EUROPE,MIDDLE EAST}'::text[]) WITH ORDINALITY AS r(name, i);
INSERT INTO nation SELECT i - 1, name, region, 'nation ' || name
    FROM unnest('{ALGERIA,ARGENTINA,BRAZIL,CANADA,EGYPT,ETHIOPIA,FRANCE,GERMANY,INDIA,INDONESIA,IRAN,IRAQ,JAPAN,JORDAN,KENYA,MOROCCO,MOZAMBIQUE,PERU,CHINA,ROMANIA,SAUDI ARABIA,VIETNAM,RUSSIA,UNITED KINGDOM,UNITED STATES}'::text[],
                '{0,1,1,1,4,0,3,3,2,2,4,4,2,4,0,0,0,1,2,3,4,2,3,3,1}'::int[]) WITH ORDINALITY AS n(name, region, i);
INSERT INTO supplier SELECT i, 'Supplier#' || lpad(i::text, 9, '0'), 'address ' || pick(i, 1, 1000), pick(i, 2, 25), 10 + pick(i, 2, 25) || '-555-' || lpad(pick(i, 3, 10000)::text, 4, '0'),
    (pick(i, 4, 1099999) - 99999) / 100.0, CASE WHEN pick(i, 5, 20) = 0 THEN 'x Customer foo Complaints y' ELSE 'quiet supplier ' || i END
    FROM generate_series(1, :orders / 150 + 10) i;
INSERT INTO customer SELECT i, 'Customer#' || lpad(i::text, 9, '0'), 'address ' || pick(i, 11, 1000), pick(i, 12, 25), 10 + pick(i, 12, 25) || '-555-' || lpad(pick(i, 13, 10000)::text, 4, '0'),
    (pick(i, 14, 1099999) - 99999) / 100.0, word(i, 15, '{AUTOMOBILE,BUILDING,FURNITURE,MACHINERY,HOUSEHOLD}'), 'customer comment ' || pick(i, 16, 100)
    FROM generate_series(1, :orders / 10) i;
INSERT INTO part SELECT i, word(i, 21, '{almond,forest,green,lace,misty,navy,olive,peach,rose,tan}') || ' ' || word(i, 22, '{antique,azure,beige,black,blue,green,khaki,linen,snow,wheat}'),
    'Manufacturer#' || 1 + pick(i, 23, 5), 'Brand#' || 1 + pick(i, 23, 5) || 1 + pick(i, 24, 5),
    word(i, 25, '{STANDARD,SMALL,MEDIUM,LARGE,ECONOMY,PROMO}') || ' ' || word(i, 26, '{ANODIZED,BURNISHED,PLATED,POLISHED,BRUSHED}') || ' ' || word(i, 27, '{TIN,NICKEL,BRASS,STEEL,COPPER}'),
    1 + pick(i, 28, 50), word(i, 29, '{SM,LG,MED,JUMBO,WRAP}') || ' ' || word(i, 30, '{CASE,BOX,BAG,JAR,PKG,PACK,CAN,DRUM}'), 900 + pick(i, 31, 100000) / 100.0, 'part ' || i % 100
    FROM generate_series(1, :orders / 8) i;
INSERT INTO partsupp SELECT p, 1 + (p + s * 7) % (:orders / 150 + 10), 1 + pick(p * 4 + s, 41, 9999), 1 + pick(p * 4 + s, 42, 99900) / 100.0, 'partsupp ' || s
    FROM generate_series(1, :orders / 8) p, generate_series(0, 3) s;
INSERT INTO orders SELECT i, 1 + pick(i, 51, :orders / 10) / 3 * 3 % (:orders / 10), word(i, 52, '{F,O,P}'), 1000 + pick(i, 53, 50000000) / 100.0, date '1992-01-01' + pick(i, 54, 2400),
    word(i, 55, '{1-URGENT,2-HIGH,3-MEDIUM,4-NOT SPECIFIED,5-LOW}'), 'Clerk#' || lpad(pick(i, 56, 1000)::text, 9, '0'), 0,
    CASE WHEN pick(i, 57, 30) = 0 THEN 'a special case of requests' ELSE 'order comment ' || pick(i, 58, 1000) END
    FROM generate_series(1, :orders) i;
INSERT INTO lineitem SELECT o_orderkey, p.part, 1 + (p.part + pick(k, 61, 4) * 7) % (:orders / 150 + 10), n, 1 + pick(k, 62, 50), (1 + pick(k, 62, 50)) * (900 + pick(k, 63, 100000) / 100.0),
    pick(k, 64, 11) / 100.0, pick(k, 65, 9) / 100.0, CASE WHEN ship <= date '1995-06-17' THEN word(k, 66, '{R,A}') ELSE 'N' END, CASE WHEN ship > date '1995-06-17' THEN 'O' ELSE 'F' END,
    ship, o_orderdate + 30 + pick(k, 68, 60), ship + 1 + pick(k, 69, 30), word(k, 70, '{DELIVER IN PERSON,COLLECT COD,NONE,TAKE BACK RETURN}'),
    word(k, 71, '{REG AIR,AIR,RAIL,SHIP,TRUCK,MAIL,FOB}'), 'line ' || pick(k, 72, 1000)
    FROM orders, generate_series(1, 7) n, LATERAL (SELECT o_orderkey::bigint * 8 + n AS k) x,
         LATERAL (SELECT 1 + pick(k, 60, :orders / 8) AS part) p, LATERAL (SELECT o_orderdate + 1 + pick(k, 67, 121) AS ship) s
    WHERE n <= 1 + pick(o_orderkey, 59, 7);
ANALYZE;
