-- SPDX-License-Identifier: Apache-2.0
-- compare(mirror): "same": the mirror's rows are its source's; "by_engine": the engine gave them, not the row table (tried
-- for a while if the mirror is live); "generation": how often it was copied. wait_live(mirror) waits for a copy.
CREATE FUNCTION compare(mirror regclass, OUT same boolean, OUT by_engine boolean, OUT state text, OUT generation int) LANGUAGE plpgsql AS $$
DECLARE
    source regclass;
    query text;
BEGIN
    SELECT m.source INTO source FROM mooncake.mirrors m WHERE m.mirror = compare.mirror;
    query := format('SELECT (SELECT array_agg(mirror_row::text ORDER BY mirror_row::text) FROM %s mirror_row) IS NOT DISTINCT FROM
                            (SELECT array_agg(source_row::text ORDER BY source_row::text) FROM %s source_row)', mirror, source);
    by_engine := false;
    FOR i IN 1..250 LOOP
        SELECT m.state, m.generation INTO state, generation FROM mooncake.mirrors m WHERE m.mirror = compare.mirror;
        EXIT WHEN state <> 'live';
        BEGIN
            PERFORM set_config('mooncake.fallback', 'off', true);
            EXECUTE query INTO same;
            by_engine := true;
            EXIT;
        EXCEPTION WHEN object_not_in_prerequisite_state THEN
            PERFORM pg_sleep(0.02);
        END;
    END LOOP;
    PERFORM set_config('mooncake.fallback', 'on', true);
    IF NOT by_engine THEN EXECUTE query INTO same; END IF;
END $$;
CREATE PROCEDURE wait_live(mirror regclass) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..1000 LOOP
        IF EXISTS (SELECT FROM mooncake.mirror_status s WHERE s.table_name = mirror::text AND s.state = 'live' AND s.engine_state = 'live') THEN
            RETURN;
        END IF;
        COMMIT;
        PERFORM pg_sleep(0.02);
    END LOOP;
    RAISE 'mirror does not become live';
END $$;
-- Transactions of this database that were decoded while they ran, and waiting until there are more: a test of streaming has streamed.
CREATE FUNCTION streamed() RETURNS bigint LANGUAGE sql AS $$
    SELECT s.stream_txns FROM pg_stat_replication_slots s JOIN pg_replication_slots r USING (slot_name)
     WHERE r.database = current_database() AND slot_name ~ '^ivy_mooncake' $$;
CREATE PROCEDURE wait_streamed(before bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..500 LOOP
        IF streamed() > before THEN RETURN; END IF;
        COMMIT;
        PERFORM pg_sleep(0.02);
    END LOOP;
    RAISE 'no transaction was streamed';
END $$;
