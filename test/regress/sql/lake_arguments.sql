-- SPDX-License-Identifier: Apache-2.0
-- NAME=VALUE arguments of lake functions: IvorySQL takes them (lake_arguments_1.out), PostgreSQL's parser makes comparisons of them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_mooncake CASCADE;
SELECT current_setting('data_directory') || '/arguments.csv' AS file \gset
COPY (SELECT i AS user_id, 'n' || i AS "Name" FROM generate_series(1, 3) i) TO :'file' (FORMAT csv, HEADER);
SELECT * FROM mooncake.read_csv('arguments.csv', DELIMITER = ',', HEADER=TRUE);
SELECT * FROM mooncake.read_csv('a(''b', "header"=true) AS (x int);
