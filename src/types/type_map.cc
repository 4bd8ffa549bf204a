// SPDX-License-Identifier: Apache-2.0
//
// The type map's rows, and their look-up. To support a type natively, add a row.
#include "types/type_map.h"

#include "types/convert.h"
#include "types/numeric.h"
#include "types/text.h"

extern "C" {
#include "funcapi.h"
#include "utils/numeric.h"
#include "utils/typcache.h"
}

namespace ivy::types {

namespace {

// How a row's values are carried.
enum class Rule : uint8_t {
    kNative,      // in "kind"
    kNativeText,  // in kText, the server's text bytes
    kNumeric,     // DECIMAL(p,s) by the typmod where DECIMAL can be; else text
    kText,        // text form by an output function that no setting influences
};

// Whether the output text of a value, as part of an array or a composite say, means the same for ever. Not so for names
// of catalog objects (a rename changes them), for what the locale formats, or for what IvorySQL's NLS settings cut.
enum class TextForm : uint8_t { kStable, kUnstable };

struct TypeRow {
    const char* schema;
    const char* name;
    Rule rule;
    TypeKind kind;
    Form form;
    WriteFn write;
    ReadFn read;
    TextForm text = TextForm::kStable;
};

constexpr char kCatalog[] = "pg_catalog";
constexpr char kOracle[] = "sys";  // IvorySQL's Oracle types: the same bytes as the Postgres type in the same row shape

constexpr Rule N = Rule::kNative;
constexpr Form X = Form::kExact;
constexpr TextForm U = TextForm::kUnstable;

constexpr TypeRow kRows[] = {
    {kCatalog, "bool", N, TypeKind::kBool, X, WriteBool, ReadBool},
    {kCatalog, "int2", N, TypeKind::kInt16, X, WriteInt16, ReadInt16},
    {kCatalog, "int4", N, TypeKind::kInt32, X, WriteInt32, ReadInt32},
    {kCatalog, "int8", N, TypeKind::kInt64, X, WriteInt64, ReadInt64},
    {kCatalog, "float4", N, TypeKind::kFloat, X, WriteFloat, ReadFloat},
    {kCatalog, "float8", N, TypeKind::kDouble, X, WriteDouble, ReadDouble},
    {kCatalog, "numeric", Rule::kNumeric, TypeKind::kDecimal, Form::kAlmost, WriteDecimal, ReadDecimal},
    {kCatalog, "text", Rule::kNativeText, TypeKind::kText, X, WriteText, ReadText},
    {kCatalog, "varchar", Rule::kNativeText, TypeKind::kText, X, WriteText, ReadText},
    {kCatalog, "bpchar", Rule::kNativeText, TypeKind::kText, X, WriteText, ReadText},
    {kCatalog, "name", Rule::kNativeText, TypeKind::kText, X, WriteName, ReadName},
    {kCatalog, "json", Rule::kNativeText, TypeKind::kText, X, WriteText, ReadText},
    {kCatalog, "xml", Rule::kNativeText, TypeKind::kText, X, WriteText, ReadText},
    {kCatalog, "bytea", N, TypeKind::kBytes, X, WriteBytes, ReadBytes},
    {kCatalog, "uuid", N, TypeKind::kUuid, X, WriteUuid, ReadUuid},
    {kCatalog, "date", N, TypeKind::kDate, X, WriteDate, ReadDate},
    {kCatalog, "time", N, TypeKind::kTime, X, WriteInt64, ReadInt64},
    {kCatalog, "timestamp", N, TypeKind::kTimestamp, Form::kAlmost, WriteTimestamp, ReadTimestamp},
    {kCatalog, "timestamptz", N, TypeKind::kTimestampTz, Form::kAlmost, WriteTimestamp, ReadTimestamp},
    {kCatalog, "interval", N, TypeKind::kInterval, X, WriteInterval, ReadInterval},
    {kCatalog, "money", N, TypeKind::kInt64, X, WriteInt64, ReadInt64, U},

    {kCatalog, "oid", N, TypeKind::kInt64, X, WriteOid, ReadOid},
    {kCatalog, "xid", N, TypeKind::kInt64, X, WriteOid, ReadOid},
    {kCatalog, "cid", N, TypeKind::kInt64, X, WriteOid, ReadOid},
    {kCatalog, "regclass", N, TypeKind::kInt64, X, WriteOid, ReadOid, U},
    {kCatalog, "regcollation", N, TypeKind::kInt64, X, WriteOid, ReadOid, U},
    {kCatalog, "regconfig", N, TypeKind::kInt64, X, WriteOid, ReadOid, U},
    {kCatalog, "regdictionary", N, TypeKind::kInt64, X, WriteOid, ReadOid, U},
    {kCatalog, "regnamespace", N, TypeKind::kInt64, X, WriteOid, ReadOid, U},
    {kCatalog, "regoper", N, TypeKind::kInt64, X, WriteOid, ReadOid, U},
    {kCatalog, "regoperator", N, TypeKind::kInt64, X, WriteOid, ReadOid, U},
    {kCatalog, "regproc", N, TypeKind::kInt64, X, WriteOid, ReadOid, U},
    {kCatalog, "regprocedure", N, TypeKind::kInt64, X, WriteOid, ReadOid, U},
    {kCatalog, "regrole", N, TypeKind::kInt64, X, WriteOid, ReadOid, U},
    {kCatalog, "regtype", N, TypeKind::kInt64, X, WriteOid, ReadOid, U},

    {kCatalog, "jsonb", Rule::kText, TypeKind::kText, Form::kTextForm, WriteOutput, ReadInput},
    {kCatalog, "bit", Rule::kText, TypeKind::kText, Form::kTextForm, WriteOutput, ReadInput},
    {kCatalog, "varbit", Rule::kText, TypeKind::kText, Form::kTextForm, WriteOutput, ReadInput},
    {kCatalog, "inet", Rule::kText, TypeKind::kText, Form::kTextForm, WriteOutput, ReadInput},
    {kCatalog, "cidr", Rule::kText, TypeKind::kText, Form::kTextForm, WriteOutput, ReadInput},
    {kCatalog, "macaddr", Rule::kText, TypeKind::kText, Form::kTextForm, WriteOutput, ReadInput},

    {kOracle, "number", Rule::kNumeric, TypeKind::kDecimal, Form::kAlmost, WriteDecimal, ReadDecimal},
    {kOracle, "binary_float", N, TypeKind::kFloat, X, WriteFloat, ReadFloat, U},
    {kOracle, "binary_double", N, TypeKind::kDouble, X, WriteDouble, ReadDouble, U},
    {kOracle, "oravarcharchar", Rule::kNativeText, TypeKind::kText, X, WriteText, ReadText},
    {kOracle, "oravarcharbyte", Rule::kNativeText, TypeKind::kText, X, WriteText, ReadText},
    {kOracle, "oracharchar", Rule::kNativeText, TypeKind::kText, X, WriteText, ReadText},
    {kOracle, "oracharbyte", Rule::kNativeText, TypeKind::kText, X, WriteText, ReadText},
    {kOracle, "oradate", N, TypeKind::kTimestamp, Form::kAlmost, WriteTimestamp, ReadTimestamp, U},
    {kOracle, "oratimestamp", N, TypeKind::kTimestamp, Form::kAlmost, WriteTimestamp, ReadTimestamp, U},
    {kOracle, "oratimestamptz", N, TypeKind::kTimestampTz, Form::kAlmost, WriteTimestamp, ReadTimestamp, U},
    {kOracle, "oratimestampltz", N, TypeKind::kTimestampTz, Form::kAlmost, WriteTimestamp, ReadTimestamp, U},
    {kOracle, "yminterval", N, TypeKind::kInterval, X, WriteInterval, ReadInterval, U},
    {kOracle, "dsinterval", N, TypeKind::kInterval, X, WriteInterval, ReadInterval, U},
    {kOracle, "xmltype", Rule::kNativeText, TypeKind::kText, X, WriteText, ReadText},
};

// The row of a base type, or null.
const TypeRow* FindRow(Oid base) {
    HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(base));
    if (!HeapTupleIsValid(tuple)) return nullptr;
    auto* type = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
    const TypeRow* found = nullptr;
    for (const TypeRow& row : kRows) {
        if (strcmp(NameStr(type->typname), row.name) != 0) continue;
        char* schema = get_namespace_name(type->typnamespace);
        const bool same = schema && strcmp(schema, row.schema) == 0;
        if (schema) pfree(schema);
        if (!same) continue;
        found = &row;
        break;
    }
    ReleaseSysCache(tuple);
    return found;
}

// Whether DECIMAL holds every finite value of a numeric typmod exactly.
bool FitsDecimal(int32 typmod, ColumnType* out) {
    if (typmod < static_cast<int32>(VARHDRSZ)) return false;  // unbounded: the display scale is part of the value
    const int precision = NumericTypmodPrecision(typmod);
    const int scale = NumericTypmodScale(typmod);
    if (precision < 1 || precision > 38 || scale < 0 || scale > precision) return false;
    *out = {TypeKind::kDecimal, static_cast<uint8_t>(precision), static_cast<uint8_t>(scale)};
    return true;
}

TypeMapping MapType(Oid type, int32 typmod, const TypeRow** row) {
    TypeMapping mapping{};
    mapping.type = type;
    mapping.typmod = typmod;
    mapping.base = getBaseTypeAndTypmod(type, &mapping.typmod);
    mapping.column = {TypeKind::kText, 0, 0};
    mapping.form = Form::kTextForm;
    *row = FindRow(mapping.base);
    if (!*row) return mapping;
    switch ((*row)->rule) {
        case Rule::kNative:
            mapping.column.kind = (*row)->kind;
            mapping.form = (*row)->form;
            break;
        case Rule::kNativeText: mapping.form = DatabaseIsUtf8() ? (*row)->form : Form::kAlmost; break;
        case Rule::kNumeric:
            if (FitsDecimal(mapping.typmod, &mapping.column)) mapping.form = (*row)->form;
            break;
        case Rule::kText: break;
    }
    return mapping;
}

// Whether text form keeps values of a type for ever, going into arrays, composites and ranges.
bool TextIsStable(Oid type) {
    const Oid base = getBaseType(type);
    if (const TypeRow* row = FindRow(base)) return row->text == TextForm::kStable;
    const Oid element = get_element_type(base);
    if (OidIsValid(element)) return TextIsStable(element);
    switch (get_typtype(base)) {
        case TYPTYPE_RANGE: return TextIsStable(get_range_subtype(base));
        case TYPTYPE_MULTIRANGE: return TextIsStable(get_multirange_range(base));
        case TYPTYPE_PSEUDO: return false;
        case TYPTYPE_COMPOSITE: {
            TupleDesc desc = lookup_rowtype_tupdesc(base, -1);
            bool stable = true;
            for (int i = 0; stable && i < desc->natts; i++) {
                const FormData_pg_attribute* attribute = TupleDescAttr(desc, i);
                stable = attribute->attisdropped || TextIsStable(attribute->atttypid);
            }
            ReleaseTupleDesc(desc);
            return stable;
        }
        default: return true;
    }
}

}  // namespace

TypeMapping LookupType(Oid type, int32 typmod) {
    const TypeRow* row;
    return MapType(type, typmod, &row);
}

bool HasStoredOrder(const TypeMapping& mapping) {
    return mapping.form != Form::kTextForm && mapping.column.kind != TypeKind::kInterval;
}

bool TakesNumericScale(Oid type, int32 typmod) {
    const TypeRow* row;
    const TypeMapping mapping = MapType(type, typmod, &row);
    return row && row->rule == Rule::kNumeric && mapping.form == Form::kTextForm;
}

void InitDatumWriter(DatumWriter* writer, Oid type, int32 typmod, int numeric_scale) {
    const TypeRow* row;
    *writer = DatumWriter{};
    writer->mapping = MapType(type, typmod, &row);
    writer->numeric_scale = kNoNumericScale;
    if (writer->mapping.form != Form::kTextForm) {
        writer->write = row->write;
        return;
    }
    if (!row && !TextIsStable(writer->mapping.base)) {
        writer->write = WriteNothing;
        return;
    }
    Oid output;
    bool varlena;
    getTypeOutputInfo(writer->mapping.base, &output, &varlena);
    fmgr_info(output, &writer->output);
    writer->write = row ? WriteOutput : WritePinnedOutput;
    if (row && row->rule == Rule::kNumeric && numeric_scale != kNoNumericScale) {
        writer->numeric_scale = numeric_scale;
        writer->write = WriteFittingNumeric;
    }
}

void InitDatumReader(DatumReader* reader, Oid type, int32 typmod, ColumnType wire) {
    const TypeRow* row;
    *reader = DatumReader{};
    reader->mapping = MapType(type, typmod, &row);
    reader->wire = wire;
    const bool decimal = row && row->rule == Rule::kNumeric && wire.kind == TypeKind::kDecimal;
    // A numeric's text is that of the value, whatever a typmod says.
    const bool numeric_text = row && row->rule == Rule::kNumeric && wire.kind == TypeKind::kText;
    if (!decimal && !numeric_text && wire.kind != reader->mapping.column.kind) {
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR), errmsg("columnar engine returned a value of kind %d for type %s",
                                                         static_cast<int>(wire.kind), format_type_be(type))));
    }
    if (decimal || (reader->mapping.form != Form::kTextForm && !numeric_text)) {
        reader->read = row->read;
        return;
    }
    Oid input;
    getTypeInputInfo(reader->mapping.base, &input, &reader->typioparam);
    fmgr_info(input, &reader->input);
    reader->read = row ? ReadInput : ReadPinnedInput;
}

}  // namespace ivy::types
