// SPDX-License-Identifier: Apache-2.0
//
// The map from Postgres types to column types, and the conversion of values both ways.
//
// The map is data, keyed by schema and type name and resolved at run time, so that types which only some servers have
// (IvorySQL's, in schema sys) are rows in it and one source builds for both. A type without a row has text form: its
// output function's text, with the settings that influence it pinned, which its input function reads back.
#pragma once

extern "C" {
#include "postgres.h"

#include "fmgr.h"
}

#include "protocol/column_chunk.h"

namespace ivy::types {

enum class Form : uint8_t {
    kExact,     // native, holds every value
    kAlmost,    // native, holds all but some values: converting one of those reports "inexact"
    kTextForm,  // canonical text
};

// How values of one type and typmod are carried. Plain data; "convert" functions come from type_map.cc.
struct TypeMapping {
    Oid type;          // as declared (may be a domain)
    Oid base;          // the domain's base type, or the same
    int32 typmod;
    ColumnType column;
    Form form;
};

// Never fails: an unknown type has text form. Follows domains.
TypeMapping LookupType(Oid type, int32 typmod);

// Converts Datums of one type into a column. Set up once, used for many rows; lives in the memory context it was made in.
struct DatumWriter {
    TypeMapping mapping;
    FmgrInfo output;                                  // text form only
    bool (*write)(DatumWriter*, Datum, ColumnBuilder*);  // false: the value can't be stored, NULL was appended instead
};
void InitDatumWriter(DatumWriter* writer, Oid type, int32 typmod);

// Converts column values back. Results are palloc'ed in the current context (by-reference types).
struct DatumReader {
    TypeMapping mapping;
    ColumnType wire;   // what the engine sends, which may differ from mapping.column in precision and scale only
    FmgrInfo input;    // text form only
    Oid typioparam;
    Datum (*read)(DatumReader*, const ColumnView*, size_t row);
};
void InitDatumReader(DatumReader* reader, Oid type, int32 typmod, ColumnType wire);

}  // namespace ivy::types
