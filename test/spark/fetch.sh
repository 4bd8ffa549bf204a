#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Gets Apache Spark and what it needs to read and write Iceberg and Delta tables: fetch.sh FOLDER. PySpark comes by pip, the
# Java libraries by the resolver that is part of Spark, both from the registries that these use by themselves. Does nothing,
# quickly, when all of it is there at the versions below.
#
# The reason why something cannot be had is the last line of the output.
set -euo pipefail

readonly PYSPARK=4.1.4
readonly JARS=org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0,io.delta:delta-spark_4.1_2.13:4.4.0,org.postgresql:postgresql:42.7.14
# In Spark already.
readonly PARTS_OF_SPARK='org.apache.hadoop:*,org.apache.logging.log4j:*,org.slf4j:*,org.apache.parquet:*,com.fasterxml.jackson.core:*,com.fasterxml.jackson.datatype:*,com.github.luben:*,org.xerial.snappy:*,io.airlift:*,org.roaringbitmap:*,commons-pool:*'

die() { printf '%s\n' "$*"; exit 1; }

folder=${1:?folder}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=$root/.venv/bin/python
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p;q') || true
[ "${version:-0}" -ge 17 ] || die "no Java runtime of version 17 or newer (on Debian: apt install default-jre-headless)"

wanted="$PYSPARK $JARS $PARTS_OF_SPARK $("$python" -c 'import sys; print(sys.version)')"
is_right() { [ "$(cat "$folder/.installed" 2>/dev/null)" = "$wanted" ]; }
if is_right; then exit 0; fi
mkdir -p "$folder"
exec 9>"$folder/.lock"
flock 9
if is_right; then exit 0; fi  # another one got it meanwhile

rm -rf "$folder/python" "$folder/ivy" "$folder/jars"
"$python" -m pip install --quiet --disable-pip-version-check --no-input --target "$folder/python" "pyspark==$PYSPARK" \
    >"$folder/pip.log" 2>&1 || die "the Python package pyspark $PYSPARK cannot be installed"
PYTHONPATH=$folder/python "$python" - "$folder" "$JARS" "$PARTS_OF_SPARK" >"$folder/ivy.log" 2>&1 <<'PYTHON' ||
import sys
from pyspark.sql import SparkSession
folder, jars, excluded = sys.argv[1:]
SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.jars.ivy", folder + "/ivy") \
    .config("spark.jars.packages", jars).config("spark.jars.excludes", excluded).getOrCreate().stop()
PYTHON
    die "the Java libraries for Spark cannot be downloaded"
mv "$folder/ivy/jars" "$folder/jars"
rm -rf "$folder/ivy"
printf '%s\n' "$wanted" >"$folder/.installed"
