# SPDX-License-Identifier: Apache-2.0
"""One Spark for all tests (a process of the size of a laptop's share), with catalogs for what it writes:

    h   Iceberg tables in folders (Iceberg's hadoop catalog), at h_path("name")
    delta.`PATH`   Delta tables
"""

import glob
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from lake_engine import Engine, rows_of  # noqa: E402
from pyspark.sql import SparkSession  # noqa: E402

# What Spark needs for tables of a few rows on two cores: no web pages, one partition where the default is 200, and as little
# logging as there can be.
SETTINGS = {
    "spark.driver.memory": "2g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions,"
                            "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.catalog.h": "org.apache.iceberg.spark.SparkCatalog",
    "spark.sql.catalog.h.type": "hadoop",
    "spark.sql.catalog.h.cache-enabled": "false",
}


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="also what takes long and is much like the rest")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: only with --all")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--all"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spark")
    jars = ",".join(sorted(glob.glob(os.environ["IVY_SPARK"] + "/jars/*.jar")))
    builder = SparkSession.builder.master("local[2]").config("spark.jars", jars)
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    builder = builder.config("spark.sql.catalog.h.warehouse", f"{folder}/iceberg")
    session = builder.config("spark.sql.warehouse.dir", f"{folder}/warehouse").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    engine = Engine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.close()


@pytest.fixture
def run(spark):
    """Runs a statement, or several that are divided by semicolons."""
    def run(statements):
        for statement in statements.split(";"):
            if statement.strip():
                result = spark.sql(statement)
        return result
    return run


@pytest.fixture
def h_path(spark):
    """The folder of an Iceberg table h.n.NAME."""
    return lambda name: spark.conf.get("spark.sql.catalog.h.warehouse") + "/n/" + name


def spark_rows(frame):
    """What Spark reads, as the engine's rows are."""
    return rows_of(frame.toArrow())
