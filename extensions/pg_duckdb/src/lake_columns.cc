// SPDX-License-Identifier: Apache-2.0
// Columns of files: DuckDB's types by name, and casts.
#include "lake_columns.h"

#include "lake_row.h"
#include "lake_run.h"
#include "types/type_map.h"

extern "C" {
#include "catalog/pg_collation.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/numeric.h"
#include "utils/typcache.h"
}

namespace ivy::duck {

namespace {

// What a DuckDB type is in Postgres. "%s" in the expression is the column.
struct NaturalType {
    const char* duck_name;
    Oid type;
    const char* expression;
    TypeKind wire;
};

constexpr NaturalType kNaturalTypes[] = {
    {"BOOLEAN", BOOLOID, "%s", TypeKind::kBool},
    {"TINYINT", INT2OID, "CAST(%s AS SMALLINT)", TypeKind::kInt16},
    {"UTINYINT", INT2OID, "CAST(%s AS SMALLINT)", TypeKind::kInt16},
    {"SMALLINT", INT2OID, "%s", TypeKind::kInt16},
    {"USMALLINT", INT4OID, "CAST(%s AS INTEGER)", TypeKind::kInt32},
    {"INTEGER", INT4OID, "%s", TypeKind::kInt32},
    {"UINTEGER", INT8OID, "CAST(%s AS BIGINT)", TypeKind::kInt64},
    {"BIGINT", INT8OID, "%s", TypeKind::kInt64},
    {"UBIGINT", NUMERICOID, "CAST(%s AS VARCHAR)", TypeKind::kText},
    {"HUGEINT", NUMERICOID, "CAST(%s AS VARCHAR)", TypeKind::kText},
    {"UHUGEINT", NUMERICOID, "CAST(%s AS VARCHAR)", TypeKind::kText},
    {"BIGNUM", NUMERICOID, "CAST(%s AS VARCHAR)", TypeKind::kText},
    {"FLOAT", FLOAT4OID, "%s", TypeKind::kFloat},
    {"DOUBLE", FLOAT8OID, "%s", TypeKind::kDouble},
    {"VARCHAR", TEXTOID, "%s", TypeKind::kText},
    {"BLOB", BYTEAOID, "%s", TypeKind::kBytes},
    {"DATE", DATEOID, "%s", TypeKind::kDate},
    {"TIME", TIMEOID, "%s", TypeKind::kTime},
    {"TIME_NS", TIMEOID, "CAST(%s AS TIME)", TypeKind::kTime},
    {"TIME WITH TIME ZONE", TIMETZOID, "CAST(%s AS VARCHAR)", TypeKind::kText},
    {"TIMESTAMP", TIMESTAMPOID, "%s", TypeKind::kTimestamp},
    {"TIMESTAMP_S", TIMESTAMPOID, "CAST(%s AS TIMESTAMP)", TypeKind::kTimestamp},
    {"TIMESTAMP_MS", TIMESTAMPOID, "CAST(%s AS TIMESTAMP)", TypeKind::kTimestamp},
    {"TIMESTAMP_NS", TIMESTAMPOID, "CAST(%s AS TIMESTAMP)", TypeKind::kTimestamp},
    {"TIMESTAMP WITH TIME ZONE", TIMESTAMPTZOID, "%s", TypeKind::kTimestampTz},
    {"UUID", UUIDOID, "%s", TypeKind::kUuid},
    {"INTERVAL", INTERVALOID, "%s", TypeKind::kInterval},
    {"BIT", VARBITOID, "CAST(%s AS VARCHAR)", TypeKind::kText},
    {"JSON", JSONBOID, "CAST(%s AS VARCHAR)", TypeKind::kText},
    {"\"NULL\"", TEXTOID, "CAST(%s AS VARCHAR)", TypeKind::kText},
};
// STRUCT, MAP, UNION, VARIANT, lists of such and whatever else there is.
constexpr NaturalType kNested = {nullptr, JSONBOID, "CAST(to_json(%s) AS VARCHAR)", TypeKind::kText};
constexpr NaturalType kEnum = {nullptr, TEXTOID, "CAST(%s AS VARCHAR)", TypeKind::kText};

const NaturalType* ScalarType(const char* duck_type) {
    for (const NaturalType& type : kNaturalTypes) {
        if (strcmp(type.duck_name, duck_type) == 0) return &type;
    }
    return pg_strncasecmp(duck_type, "ENUM(", 5) == 0 ? &kEnum : nullptr;
}

bool DecimalType(const char* duck_type, int* precision, int* scale) {
    return sscanf(duck_type, "DECIMAL(%d,%d)", precision, scale) == 2 && strchr(duck_type, '[') == nullptr;
}

int32 NumericTypmod(int precision, int scale) { return ((precision << 16) | (scale & 0x7ff)) + VARHDRSZ; }

// The element type's name of "X[]" or "X[3]", or null. Lists of lists are left to JSON.
char* ElementType(const char* duck_type) {
    const size_t length = strlen(duck_type);
    if (length < 3 || duck_type[length - 1] != ']') return nullptr;
    const char* open = strrchr(duck_type, '[');
    char* element = pnstrdup(duck_type, open - duck_type);
    return strchr(element, ']') || strchr(element, '{') ? nullptr : element;
}

// How a column of a file is read without any cast.
struct Natural {
    Oid type;
    int32 typmod;
    const char* expression;
    ColumnType wire;
};

// The elements of a list as text of a Postgres array: each in quotes, which all input functions take.
const char* ArrayExpression(const char* column, const NaturalType* element) {
    const char* text = element && element->type == BYTEAOID ? "('\\x' || hex(e))" : "CAST(e AS VARCHAR)";
    return psprintf(
        "'{' || array_to_string(list_transform(%s, lambda e: CASE WHEN e IS NULL THEN 'NULL' ELSE '\"' || "
        "replace(replace(%s, '\\', '\\\\'), '\"', '\\\"') || '\"' END), ',') || '}'",
        column, text);
}

Natural NaturalOf(const char* duck_type, const char* column) {
    int precision, scale;
    if (DecimalType(duck_type, &precision, &scale)) {
        return {NUMERICOID,
                NumericTypmod(precision, scale),
                column,
                {TypeKind::kDecimal, static_cast<uint8_t>(precision), static_cast<uint8_t>(scale)}};
    }
    const NaturalType* found = ScalarType(duck_type);
    if (!found) {
        if (const char* element = ElementType(duck_type)) {
            const NaturalType* scalar = ScalarType(element);
            const bool decimal = DecimalType(element, &precision, &scale);
            if ((scalar && scalar->type != JSONBOID) || decimal) {
                return {get_array_type(decimal ? NUMERICOID : scalar->type),
                        decimal ? NumericTypmod(precision, scale) : -1,
                        ArrayExpression(column, scalar),
                        {TypeKind::kText}};
            }
        }
        found = &kNested;
    }
    return {found->type, -1, psprintf(found->expression, column), {found->wire}};
}

// --- casts that the engine does as Postgres ------------------------------------------------------------------------------

bool IsInteger(Oid type) { return type == INT2OID || type == INT4OID || type == INT8OID; }

int IntegerDigits(Oid type) { return type == INT2OID ? 5 : type == INT4OID ? 10 : 19; }

// If the engine can cast the natural value to the declared type exactly, changes *natural to that cast. Errors may differ:
// they send the query to Postgres.
bool CastOnEngine(Natural* natural, Oid type, int32 typmod) {
    const auto cast_to = [&](const char* duck_type, ColumnType wire) {
        natural->expression = psprintf("CAST(%s AS %s)", natural->expression, duck_type);
        natural->wire = wire;
        natural->type = type;
        natural->typmod = typmod;
        return true;
    };
    if (natural->type == type && (typmod == natural->typmod || (typmod == -1 && type == NUMERICOID))) {
        natural->typmod = typmod;
        return true;
    }
    if (type == NUMERICOID) {
        const bool bounded = typmod >= static_cast<int32>(VARHDRSZ);
        const int from_scale = natural->wire.kind == TypeKind::kDecimal ? natural->wire.scale : 0;
        const int from_digits = IsInteger(natural->type)                   ? IntegerDigits(natural->type)
                                : natural->wire.kind == TypeKind::kDecimal ? natural->wire.precision - from_scale
                                                                           : 0;
        if (from_digits == 0) return false;
        const int precision = bounded ? ((typmod - VARHDRSZ) >> 16) & 0xffff : from_digits + from_scale;
        const int scale = bounded ? (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024 : from_scale;
        if (precision > 38 || scale < from_scale || scale > precision) return false;
        return cast_to(psprintf("DECIMAL(%d,%d)", precision, scale),
                       {TypeKind::kDecimal, static_cast<uint8_t>(precision), static_cast<uint8_t>(scale)});
    }
    if (typmod != -1) return false;
    if (IsInteger(natural->type)) {
        switch (type) {
            case INT2OID: return cast_to("SMALLINT", {TypeKind::kInt16});
            case INT4OID: return cast_to("INTEGER", {TypeKind::kInt32});
            case INT8OID: return cast_to("BIGINT", {TypeKind::kInt64});
            case FLOAT8OID: return cast_to("DOUBLE", {TypeKind::kDouble});
            case TEXTOID:
            case VARCHAROID: return cast_to("VARCHAR", {TypeKind::kText});
            default: return false;
        }
    }
    if (natural->type == FLOAT4OID && type == FLOAT8OID) return cast_to("DOUBLE", {TypeKind::kDouble});
    if (natural->type == DATEOID && type == TIMESTAMPOID) return cast_to("TIMESTAMP", {TypeKind::kTimestamp});
    if (natural->type == TEXTOID && type == VARCHAROID) {
        natural->type = VARCHAROID;
        return true;
    }
    return false;
}

// Whether values of a type should come as the text that stands in the file, rather than as what the reader made of it.
bool WantsSourceText(LakeFormat format, const Natural& natural, Oid type) {
    if (format != LakeFormat::kCsv) return false;
    if (natural.type == type || natural.type == TEXTOID) return false;
    const bool is_text = type == TEXTOID || type == VARCHAROID || type == BPCHAROID;
    return is_text || (type == NUMERICOID && natural.type == FLOAT8OID);
}

[[noreturn]] void RaiseMissing(const LakeCall* call, List* columns, const char* name) {
    StringInfoData names;
    initStringInfo(&names);
    ListCell* cell;
    foreach (cell, columns) {
        if (names.len > 1000) {
            appendStringInfoString(&names, ", ...");
            break;
        }
        appendStringInfo(&names, "%s%s", names.len ? ", " : "", static_cast<FileColumn*>(lfirst(cell))->name);
    }
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("column \"%s\" does not exist in %s", name, LakeCallName(call)),
             errdetail("Its columns are: %s.", names.data)));
    pg_unreachable();
}

void CheckCast(const LakeCall* call, const LakeColumn* column, const char* duck_type) {
    if (can_coerce_type(1, &column->read_type, &column->type, COERCION_EXPLICIT)) return;
    ereport(ERROR, (errcode(ERRCODE_CANNOT_COERCE),
                    errmsg("column \"%s\" of %s cannot be cast to type %s", column->name, LakeCallName(call),
                           format_type_be(column->type)),
                    errdetail("In the files it is of type %s, which is read as %s.", duck_type,
                              format_type_be(column->read_type))));
}

// "as_text" collects the columns that are to be read as text; null if none may be.
void BindColumn(const LakeCall* call, List* columns, LakeColumn* column, StringInfo as_text) {
    const FileColumn* found = FindFileColumn(columns, column->name);
    if (!found) RaiseMissing(call, columns, column->name);
    int32 base_typmod = column->typmod;
    const Oid base = getBaseTypeAndTypmod(column->type, &base_typmod);
    const char* name = LakeIdentifier(found->name);
    const char* duck_type = found->duck_type;
    Natural natural = NaturalOf(duck_type, "");
    if (as_text && WantsSourceText(call->reader->format, natural, base)) {
        duck_type = "VARCHAR";
        appendStringInfo(as_text, "%s%s: 'VARCHAR'", as_text->len ? ", " : "", LakeLiteral(found->name));
    }
    natural = NaturalOf(duck_type, psprintf("ivy_expect(%s, %s)", name, LakeLiteral(duck_type)));
    // Text of other types is not as Postgres's output functions write it: equal values may have different texts.
    const bool same_cast = CastOnEngine(&natural, base, base_typmod);
    const bool is_text = natural.type == TEXTOID || natural.type == VARCHAROID || natural.type == NUMERICOID;
    column->shippable = same_cast && base == column->type && (natural.wire.kind != TypeKind::kText || is_text);
    column->expression = natural.expression;
    column->wire = natural.wire;
    column->read_type = natural.type;
    column->read_typmod = natural.typmod;
    CheckCast(call, column, duck_type);
}

void BindColumns(TupleDesc declared, List* columns, LakeTable* table, StringInfo as_text) {
    for (int i = 0; i < declared->natts; i++) {
        const FormData_pg_attribute* attribute = TupleDescAttr(declared, i);
        LakeColumn* column = &table->columns[i];
        if (attribute->attisdropped) continue;
        column->name = pstrdup(NameStr(attribute->attname));
        column->type = attribute->atttypid;
        column->typmod = attribute->atttypmod;
        column->collation = attribute->attcollation;
        BindColumn(table->call, columns, column, as_text);
    }
}

// Whether the caller chose the types of columns.
bool HasTypes(const LakeCall* call) {
    ListCell* cell;
    foreach (cell, call->options) {
        const char* name = static_cast<LakeOption*>(lfirst(cell))->name;
        for (const char* option : {"columns", "types", "dtypes", "column_types"}) {
            if (strcmp(name, option) == 0) return true;
        }
    }
    return false;
}

// The whole JSON record, for a single column of a JSON type whose name no field has.
bool IsWholeRecord(const LakeCall* call, TupleDesc declared, List* columns) {
    if (call->reader->format != LakeFormat::kJson || declared->natts != 1) return false;
    const FormData_pg_attribute* attribute = TupleDescAttr(declared, 0);
    if (attribute->atttypid != JSONBOID && attribute->atttypid != JSONOID) return false;
    return FindFileColumn(columns, NameStr(attribute->attname)) == nullptr;
}

constexpr LakeReader kJsonRecords = {"read_json", "read_json_objects", LakeFormat::kJson, true};
constexpr const char* kRecordOptions[] = {
    "filename", "hive_partitioning", "union_by_name", "maximum_object_size", "ignore_errors", "format", "compression"};

LakeTable* BindRecords(const LakeCall* call, TupleDesc declared) {
    auto* records = static_cast<LakeCall*>(palloc(sizeof(LakeCall)));
    *records = *call;
    records->reader = &kJsonRecords;
    records->options = NIL;
    ListCell* cell;
    foreach (cell, call->options) {
        auto* option = static_cast<LakeOption*>(lfirst(cell));
        for (const char* name : kRecordOptions) {
            if (strcmp(option->name, name) == 0) records->options = lappend(records->options, option);
        }
    }
    const FormData_pg_attribute* attribute = TupleDescAttr(declared, 0);
    auto* table = static_cast<LakeTable*>(palloc0(sizeof(LakeTable)));
    table->call = call;
    table->source = LakeCallText(records);
    table->count = 1;
    table->columns = static_cast<LakeColumn*>(palloc0(sizeof(LakeColumn)));
    LakeColumn* column = table->columns;
    column->name = NameStr(attribute->attname);
    column->type = column->read_type = attribute->atttypid;
    column->typmod = column->read_typmod = -1;
    column->expression = "CAST(json AS VARCHAR)";
    column->wire = {TypeKind::kText};
    column->shippable = attribute->atttypid == JSONOID;  // which has no equality
    return table;
}

}  // namespace

List* DescribeFiles(const LakeCall* call) {
    char* sql = psprintf("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM %s)", LakeCallText(call));
    List* rows = RunLakeTexts(sql, 2, call->paths);
    List* columns = NIL;
    ListCell* cell;
    foreach (cell, rows) {
        char** row = static_cast<char**>(lfirst(cell));
        auto* column = static_cast<FileColumn*>(palloc(sizeof(FileColumn)));
        column->name = row[0];
        column->duck_type = row[1];
        const Natural natural = NaturalOf(row[1], "");
        column->type = natural.type;
        column->typmod = natural.typmod;
        columns = lappend(columns, column);
    }
    return columns;
}

LakeTable* BindLakeTable(const LakeCall* call, TupleDesc declared) {
    List* columns = DescribeFiles(call);
    if (IsWholeRecord(call, declared, columns)) return BindRecords(call, declared);
    auto* table = static_cast<LakeTable*>(palloc0(sizeof(LakeTable)));
    table->call = call;
    table->count = declared->natts;
    table->columns = static_cast<LakeColumn*>(palloc0(sizeof(LakeColumn) * Max(declared->natts, 1)));
    StringInfoData as_text;
    initStringInfo(&as_text);
    if (!HasTypes(call)) BindColumns(declared, columns, table, &as_text);
    if (as_text.len > 0) {
        auto* types = static_cast<LakeOption*>(palloc(sizeof(LakeOption)));
        types->name = "types";
        types->text = psprintf("{%s}", as_text.data);
        table->source = LakeCallText(call, list_make1(types));
        // Not a column of the file itself if it comes from a partition's folder.
        const char* probe = psprintf("SELECT column_name FROM (DESCRIBE SELECT * FROM %s)", table->source);
        if (RunLakeTexts(probe, 1, call->paths, true) != NIL) return table;
    }
    BindColumns(declared, columns, table, nullptr);
    table->source = LakeCallText(call);
    return table;
}

LakeTable* BindLakeRows(const LakeCall* call, Oid row_type) {
    auto* table = static_cast<LakeTable*>(palloc0(sizeof(LakeTable)));
    table->call = call;
    table->source = psprintf("(SELECT to_json(t) AS j FROM %s AS t)", LakeCallText(call));
    table->count = 1;
    table->columns = static_cast<LakeColumn*>(palloc0(sizeof(LakeColumn)));
    table->columns->name = "row";
    table->columns->type = table->columns->read_type = row_type;
    table->columns->typmod = table->columns->read_typmod = -1;
    table->columns->expression = "CAST(j AS VARCHAR)";
    table->columns->wire = {TypeKind::kText};
    return table;
}

TupleDesc DeclaredColumns(const RangeTblFunction* function) {
    if (function->funccolnames != NIL) {
        return BuildDescFromLists(function->funccolnames, function->funccoltypes, function->funccoltypmods,
                                  function->funccolcollations);
    }
    const Oid type = exprType(function->funcexpr);
    if (type == RECORDOID || !type_is_rowtype(type)) return nullptr;
    return lookup_rowtype_tupdesc_copy(getBaseType(type), -1);
}

char* LakeTableText(const LakeTable* table) {
    StringInfoData out;
    initStringInfo(&out);
    for (int i = 0; i < table->count; i++) {
        const char* expression = table->columns[i].expression;
        appendStringInfo(&out, "%s%s AS c%d", i == 0 ? "(SELECT " : ", ", expression ? expression : "NULL", i + 1);
    }
    if (table->count == 0) appendStringInfoString(&out, "(SELECT 1 AS c0");
    appendStringInfo(&out, " FROM %s)", table->source);
    return out.data;
}

Expr* LakeConversion(const LakeColumn* column) {
    if (column->type == column->read_type && column->typmod == column->read_typmod) return nullptr;
    CaseTestExpr* value = makeNode(CaseTestExpr);
    value->typeId = column->read_type;
    value->typeMod = column->read_typmod;
    value->collation = get_typcollation(column->read_type);
    Node* cast = coerce_to_target_type(nullptr, reinterpret_cast<Node*>(value), column->read_type, column->type,
                                       column->typmod, COERCION_EXPLICIT, COERCE_IMPLICIT_CAST, -1);
    if (!cast) elog(ERROR, "no cast from %s to %s", format_type_be(column->read_type), format_type_be(column->type));
    if (cast == reinterpret_cast<Node*>(value)) return nullptr;
    return expression_planner(reinterpret_cast<Expr*>(cast));
}

}  // namespace ivy::duck
