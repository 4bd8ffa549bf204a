-- SPDX-License-Identifier: Apache-2.0
-- Tables that the other tests translate queries over: those in schema mirror count as mirrors. Nothing is executed.
CREATE SCHEMA mirror;
CREATE FUNCTION ivy_translate(text) RETURNS text LANGUAGE c STRICT AS 'ivy_translate_test';
CREATE FUNCTION ivy_split(text) RETURNS text LANGUAGE c STRICT AS 'ivy_translate_test';
CREATE FUNCTION ivy_translate_micros(text, int) RETURNS float8 LANGUAGE c STRICT AS 'ivy_translate_test';
CREATE FUNCTION ivy_literal(anyelement) RETURNS text LANGUAGE c AS 'ivy_translate_test';

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE mirror.a (id int PRIMARY KEY, "i 2" smallint, i8 bigint, f8 float8, n numeric(12,3), un numeric, t text, c text COLLATE "C",
    v varchar(10), b char(5), d date, ts timestamp, tz timestamptz, bo bool, js jsonb, e mood, pos positive, arr int[],
    gen int GENERATED ALWAYS AS (id * 2) VIRTUAL);
CREATE TABLE mirror."B b" (id int PRIMARY KEY, a_id int, n numeric(8,2), t text, "c1" int);
CREATE TABLE r (id int PRIMARY KEY, i4 int, t text, n numeric(8,2), js jsonb);
CREATE VIEW va AS SELECT id, n * 2 AS doubled FROM mirror.a WHERE bo;
CREATE FUNCTION sql_inlined(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION opaque(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
