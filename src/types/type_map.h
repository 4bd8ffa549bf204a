// SPDX-License-Identifier: Apache-2.0
//
// The map from Postgres types to column types, and the conversion of values both ways.
//
// The map is data, keyed by schema and type name and resolved at run time, so that types which only some servers have
// (IvorySQL's, in schema sys) are rows in it and one source builds for both. A type without a row has text form: its
// output function's text, with the settings that influence it pinned, which its input function reads back.
//
// Text crosses the wire in UTF-8. In a database with another encoding it is converted both ways, and a value that does
// not survive the round trip (or is not valid text in a SQL_ASCII database) can't be stored.
#pragma once

#include "pg/postgres_api.h"

#include "protocol/column_chunk.h"

namespace ivy::types {

enum class Form : uint8_t {
    kExact,     // native, holds every value
    kAlmost,    // native, holds all but some values: converting one of those reports "inexact"
    kTextForm,  // canonical text
};

// How values of one type and typmod are carried. Plain data.
struct TypeMapping {
    Oid type;      // as declared (may be a domain)
    Oid base;      // the domain's base type, or the same
    int32 typmod;  // of the base type: a domain's own, where it has one
    ColumnType column;
    Form form;
};

// Never fails: an unknown type has text form. Follows domains.
TypeMapping LookupType(Oid type, int32 typmod);

// Whether stored values sort as the values of the type do, if it has an order, so that files may be sorted by them: not in
// text form, nor intervals. Texts are sorted by their bytes, which is the order of collation C.
bool HasStoredOrder(const TypeMapping& mapping);

// Whether values are numerics in text form, which data files may have as decimals (option "numeric_scale").
bool TakesNumericScale(Oid type, int32 typmod);
inline constexpr int kNoNumericScale = -1;

// Converts Datums of one type into a column. Set up once, used for many rows; lives in the memory context it was made
// in. "write" takes a Datum that is not NULL. It may leave palloc'ed garbage (detoasted values) in the current context,
// which the caller resets now and then, and may ereport. The builder is not changed when it does.
struct DatumWriter {
    TypeMapping mapping;
    FmgrInfo output;                                     // text form only
    int numeric_scale;                                   // of TakesNumericScale: values must fit decimal(38, this)
    bool (*write)(DatumWriter*, Datum, ColumnBuilder*);  // false: the value can't be stored, NULL was appended instead
};
// "numeric_scale" is ignored for types that don't take one.
void InitDatumWriter(DatumWriter* writer, Oid type, int32 typmod, int numeric_scale = kNoNumericScale);

// Converts column values back, to exactly the Datum that was written. Results are palloc'ed in the current context
// (by-reference types). "read" takes a row that is not NULL. A domain's values are those of its base type: they were
// checked when they were first stored.
struct DatumReader {
    TypeMapping mapping;
    ColumnType wire;  // what the engine sends, which may differ from mapping.column in precision and scale only
    FmgrInfo input;   // text form only, with typioparam
    Oid typioparam;
    Datum (*read)(DatumReader*, const ColumnView*, size_t row);
};
// ereports if "wire" is not a type that values of "type" can be read from: a numeric is read from any kDecimal and from text, every
// other type from its mapping's column type.
void InitDatumReader(DatumReader* reader, Oid type, int32 typmod, ColumnType wire);

}  // namespace ivy::types
