# SPDX-License-Identifier: Apache-2.0
#
# Finds the server that PG_CONFIG (cache variable or environment) names: target PostgreSQL::Server and the PG_* folders.
# Only major version 18 is accepted. PGXS's compiler flags are for C and for another compiler, so only the two that
# matter to correctness are passed on. PG_IS_IVORYSQL tells whether the headers are IvorySQL's.
find_program(PG_CONFIG pg_config HINTS $ENV{PG_CONFIG} /usr/lib/postgresql/18/bin NO_DEFAULT_PATH)
if(DEFINED ENV{PG_CONFIG} AND EXISTS "$ENV{PG_CONFIG}")
    set(PG_CONFIG "$ENV{PG_CONFIG}" CACHE FILEPATH "pg_config of the server to build for" FORCE)
endif()
if(NOT PG_CONFIG)
    find_program(PG_CONFIG pg_config)
endif()
if(NOT PG_CONFIG)
    message(FATAL_ERROR "pg_config not found: install PostgreSQL 18 with its server headers, or set PG_CONFIG")
endif()

function(_pg_config_ask option variable)
    execute_process(COMMAND ${CMAKE_COMMAND} -E env LC_MESSAGES=C ${PG_CONFIG} ${option}
        OUTPUT_VARIABLE _out OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    set(${variable} "${_out}" PARENT_SCOPE)
endfunction()
_pg_config_ask(--version PG_VERSION_TEXT)
if(NOT PG_VERSION_TEXT MATCHES "^PostgreSQL 18([.a-z]|$)")
    message(FATAL_ERROR "${PG_CONFIG} is of '${PG_VERSION_TEXT}'; ivy_mooncake needs PostgreSQL 18 or IvorySQL 5 (set PG_CONFIG)")
endif()
_pg_config_ask(--includedir-server PG_INCLUDE_SERVER_DIR)
_pg_config_ask(--pkglibdir PG_PKGLIB_DIR)
_pg_config_ask(--sharedir PG_SHARE_DIR)
_pg_config_ask(--bindir PG_BIN_DIR)
_pg_config_ask(--pgxs _pgxs)
if(NOT EXISTS ${PG_INCLUDE_SERVER_DIR}/postgres.h)
    message(FATAL_ERROR "${PG_INCLUDE_SERVER_DIR}/postgres.h is missing: install the server's development package")
endif()
get_filename_component(PG_PGXS_SRC_DIR ${_pgxs}/../.. ABSOLUTE)
set(PG_REGRESS ${PG_PGXS_SRC_DIR}/test/regress/pg_regress)
set(PG_ISOLATION_REGRESS ${PG_PGXS_SRC_DIR}/test/isolation/pg_isolation_regress)

file(STRINGS ${PG_INCLUDE_SERVER_DIR}/pg_config.h _ivory REGEX "PACKAGE_IVORYSQL_VERSION")
if(_ivory)
    set(PG_IS_IVORYSQL ON)
else()
    set(PG_IS_IVORYSQL OFF)
endif()
message(STATUS "Server: ${PG_VERSION_TEXT} (${PG_CONFIG}), IvorySQL: ${PG_IS_IVORYSQL}")

if(NOT TARGET PostgreSQL::Server)
    add_library(PostgreSQL::Server INTERFACE IMPORTED)
    set_target_properties(PostgreSQL::Server PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES ${PG_INCLUDE_SERVER_DIR}
        INTERFACE_COMPILE_DEFINITIONS _GNU_SOURCE
        INTERFACE_COMPILE_OPTIONS "-fno-strict-aliasing;-fwrapv")
endif()
set(PostgreSQLServer_FOUND ON)
