# SPDX-License-Identifier: Apache-2.0
#
# Finds DuckDB's C++ headers and shared library: DuckDB::duckdb. DUCKDB_ROOT (variable or environment) names a release
# archive's folder; otherwise the system's. Debian's own CMake package for DuckDB names archives that it lacks, hence this.
# DuckDB's C++ ABI changes between minor versions, so exactly 2.0 is accepted.
find_path(DuckDB_INCLUDE_DIR duckdb.hpp HINTS ${DUCKDB_ROOT} ENV DUCKDB_ROOT PATH_SUFFIXES include src/include)
find_library(DuckDB_LIBRARY duckdb HINTS ${DUCKDB_ROOT} ENV DUCKDB_ROOT PATH_SUFFIXES lib)

if(DuckDB_INCLUDE_DIR AND EXISTS ${DuckDB_INCLUDE_DIR}/duckdb.h)
    file(STRINGS ${DuckDB_INCLUDE_DIR}/duckdb.h _api REGEX "DUCKDB_API_2_0|duckdb_ext_api_v2|DUCKDB_VERSION")
endif()
if(DuckDB_LIBRARY)
    get_filename_component(_real ${DuckDB_LIBRARY} REALPATH)
    string(REGEX MATCH "\\.so\\.([0-9]+\\.[0-9]+)" _soname "${_real}")
    set(DuckDB_VERSION "${CMAKE_MATCH_1}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(DuckDB
    REQUIRED_VARS DuckDB_LIBRARY DuckDB_INCLUDE_DIR
    VERSION_VAR DuckDB_VERSION)
if(DuckDB_FOUND AND DuckDB_VERSION AND NOT DuckDB_VERSION VERSION_EQUAL 2.0)
    message(FATAL_ERROR "DuckDB ${DuckDB_VERSION} found at ${DuckDB_LIBRARY}; version 2.0 is required (set DUCKDB_ROOT)")
endif()
if(DuckDB_FOUND AND NOT TARGET DuckDB::duckdb)
    add_library(DuckDB::duckdb SHARED IMPORTED)
    set_target_properties(DuckDB::duckdb PROPERTIES
        IMPORTED_LOCATION ${DuckDB_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${DuckDB_INCLUDE_DIR})
endif()
