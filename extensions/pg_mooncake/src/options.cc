// SPDX-License-Identifier: Apache-2.0
#include "options.h"

extern "C" {
#include "catalog/index.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/jsonfuncs.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
}

#include "location.h"
#include "module.h"
#include "types/type_map.h"

namespace ivy::mooncake {
namespace {

constexpr char kNames[] =
    "The options are \"wait\", \"identity\", \"columns\", \"sort_column\", \"flush_interval\", \"flush_rows\", "
    "\"flush_size\", \"location\", \"format_version\" and \"numeric_scale\".";
constexpr char kPrimaryKey[] = "primary_key";
constexpr int64 kMaxFlushIntervalMs = 24 * 3600 * 1000;
constexpr int kFormatVersion = 3;

[[noreturn]] void WrongType(const char* name, const char* wanted) {
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"%s\" must be %s", name, wanted));
    pg_unreachable();
}

[[noreturn]] void OutOfRange(const char* name, const char* range) {
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"%s\" is out of range", name),
            errdetail("It must be %s.", range));
    pg_unreachable();
}

const char* TextOf(const char* name, const JsonbValue& value) {
    if (value.type != jbvString) WrongType(name, "a string");
    return pnstrdup(value.val.string.val, static_cast<Size>(value.val.string.len));
}

int64 IntegerOf(const char* name, const JsonbValue& value) {
    if (value.type != jbvNumeric) WrongType(name, "an integer");
    bool error = false;
    const int64 number = numeric_int8_opt_error(value.val.numeric, &error);
    const Datum back = DirectFunctionCall1(int8_numeric, Int64GetDatum(number));
    if (error || !DatumGetBool(DirectFunctionCall2(numeric_eq, back, NumericGetDatum(value.val.numeric)))) {
        WrongType(name, "an integer");
    }
    return number;
}

// An interval such as "30 s", or a number of seconds.
int64 MillisecondsOf(const char* name, const JsonbValue& value) {
    float8 seconds;
    if (value.type == jbvNumeric) {
        seconds = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value.val.numeric)));
    } else if (value.type == jbvString) {
        const Datum interval = DirectFunctionCall3(interval_in, CStringGetDatum(TextOf(name, value)),
                                                   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
        const Interval* span = DatumGetIntervalP(interval);
        seconds = static_cast<float8>(span->time) / USECS_PER_SEC + span->day * 86400.0 + span->month * 30 * 86400.0;
    } else {
        WrongType(name, "an interval, such as \"30 s\", or a number of seconds");
    }
    if (!(seconds * 1000 >= 1) || seconds * 1000 > kMaxFlushIntervalMs) OutOfRange(name, "between 1 ms and 1 day");
    return static_cast<int64>(seconds * 1000);
}

// A size such as "64 MB", or a number of bytes.
int64 BytesOf(const char* name, const JsonbValue& value) {
    int64 bytes;
    if (value.type == jbvString) {
        bytes =
            DatumGetInt64(DirectFunctionCall1(pg_size_bytes, PointerGetDatum(cstring_to_text(TextOf(name, value)))));
    } else if (value.type == jbvNumeric) {
        bytes = IntegerOf(name, value);
    } else {
        WrongType(name, "a size, such as \"64 MB\", or a number of bytes");
    }
    if (bytes < 1024 * 1024) OutOfRange(name, "at least 1 MB");
    return bytes;
}

List* NamesOf(const char* name, const JsonbValue& value) {
    constexpr char kWanted[] = "an array of column names";
    if (value.type != jbvBinary || !JsonContainerIsArray(value.val.binary.data)) WrongType(name, kWanted);
    List* names = NIL;
    JsonbIterator* it = JsonbIteratorInit(value.val.binary.data);
    JsonbValue element;
    JsonbIteratorToken token;
    while ((token = JsonbIteratorNext(&it, &element, true)) != WJB_DONE) {
        if (token != WJB_ELEM) continue;
        if (element.type != jbvString) WrongType(name, kWanted);
        names = lappend(names, pnstrdup(element.val.string.val, static_cast<Size>(element.val.string.len)));
    }
    if (names == NIL) WrongType(name, kWanted);
    return names;
}

NumericScale* ScaleOf(const char* name, const char* column, const JsonbValue& value) {
    if (value.type != jbvNumeric) WrongType(name, "an integer, or an object of column names and integers");
    const int64 scale = IntegerOf(name, value);
    if (scale < 0 || scale > kMaxDecimalDigits) OutOfRange(name, "between 0 and 38");
    auto* entry = static_cast<NumericScale*>(palloc(sizeof(NumericScale)));
    *entry = {column, static_cast<int>(scale)};
    return entry;
}

// A scale for all columns, or an object of columns' scales.
List* ScalesOf(const char* name, const JsonbValue& value) {
    if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data)) {
        return list_make1(ScaleOf(name, nullptr, value));
    }
    List* scales = NIL;
    JsonbIterator* it = JsonbIteratorInit(value.val.binary.data);
    JsonbValue key, scale;
    JsonbIteratorToken token;
    while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE) {
        if (token != WJB_KEY) continue;
        JsonbIteratorNext(&it, &scale, true);
        const char* column = pnstrdup(key.val.string.val, static_cast<Size>(key.val.string.len));
        scales = lappend(scales, ScaleOf(name, column, scale));
    }
    if (scales == NIL) WrongType(name, "an integer, or an object of column names and integers");
    return scales;
}

void ParseIdentity(const char* name, const JsonbValue& value, CreateOptions* options) {
    const char* identity = TextOf(name, value);
    if (strcmp(identity, IdentityName(Identity::kFull)) == 0) {
        options->mirror.identity = Identity::kFull;
    } else if (strcmp(identity, IdentityName(Identity::kAppendOnly)) == 0) {
        options->mirror.identity = Identity::kAppendOnly;
    } else {
        options->key_index = identity;
    }
}

int ParseFormat(const char* name, const JsonbValue& value) {
    const int64 version = IntegerOf(name, value);
    if (version != 2 && version != 3) OutOfRange(name, "2 or 3");
    return static_cast<int>(version);
}

void ParseOption(const char* name, const JsonbValue& value, CreateOptions* options) {
    if (strcmp(name, "wait") == 0) {
        if (value.type != jbvBool) WrongType(name, "a boolean");
        options->wait = value.val.boolean;
    } else if (strcmp(name, "identity") == 0) {
        ParseIdentity(name, value, options);
    } else if (strcmp(name, "columns") == 0) {
        options->mirror.columns = NamesOf(name, value);
    } else if (strcmp(name, "flush_interval") == 0) {
        options->mirror.flush_interval_ms = MillisecondsOf(name, value);
    } else if (strcmp(name, "flush_rows") == 0) {
        options->mirror.flush_rows = IntegerOf(name, value);
        if (options->mirror.flush_rows < 1) OutOfRange(name, "at least 1");
    } else if (strcmp(name, "flush_size") == 0) {
        options->mirror.flush_bytes = BytesOf(name, value);
    } else if (strcmp(name, "location") == 0) {
        options->mirror.warehouse = CheckWarehouse(TextOf(name, value), true);
    } else if (strcmp(name, "format_version") == 0) {
        options->mirror.format_version = ParseFormat(name, value);
    } else if (strcmp(name, "sort_column") == 0) {
        options->mirror.sort_columns =
            value.type == jbvString ? list_make1(const_cast<char*>(TextOf(name, value))) : NamesOf(name, value);
    } else if (strcmp(name, "numeric_scale") == 0) {
        options->mirror.numeric_scales = ScalesOf(name, value);
    } else {
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unrecognized option \"%s\"", name),
                errhint("%s", kNames));
    }
}

// The index whose columns decoding finds in the WAL, or InvalidOid.
Oid IdentityIndex(Relation source) {
    return source->rd_rel->relreplident == REPLICA_IDENTITY_FULL ? RelationGetPrimaryKeyIndex(source, false)
                                                                 : RelationGetReplicaIndex(source);
}

void CheckIndex(const char* name, Relation source) {
    const char* table = RelationGetRelationName(source);
    const Oid used = IdentityIndex(source);
    if (strcmp(name, kPrimaryKey) == 0) {
        const Oid primary = RelationGetPrimaryKeyIndex(source, false);
        if (!OidIsValid(primary)) {
            ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("table \"%s\" has no primary key", table),
                    errhint("Add one, or use another value of option \"%s\".", "identity"));
        }
        if (primary == used) return;
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("the primary key is not the replica identity of table \"%s\"", table),
                errhint("Use ALTER TABLE ... REPLICA IDENTITY DEFAULT."));
    }
    const Oid index = get_relname_relid(name, RelationGetNamespace(source));
    if (!OidIsValid(index) || IndexGetRelation(index, true) != RelationGetRelid(source)) {
        ereport(
            ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("table \"%s\" has no index \"%s\"", table, name),
            errhint("Option \"%s\" is \"primary_key\", \"full\", \"append_only\" or the name of the index that is the "
                    "table's replica identity.",
                    "identity"));
    }
    if (index == used) return;
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("index \"%s\" is not the replica identity of table \"%s\"", name, table),
            errdetail("The WAL of updates and deletes has the columns of the replica identity only."),
            errhint("Use ALTER TABLE ... REPLICA IDENTITY USING INDEX."));
}

// The number of a column that a mirror may store.
AttrNumber StoredAttribute(const char* name, Relation source) {
    TupleDesc desc = RelationGetDescr(source);
    for (int i = 0; i < desc->natts; i++) {
        const FormData_pg_attribute* att = TupleDescAttr(desc, i);
        if (att->attisdropped || strcmp(NameStr(att->attname), name) != 0) continue;
        if (att->attgenerated != ATTRIBUTE_GENERATED_VIRTUAL) return att->attnum;
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("column \"%s\" can't be stored in a mirror", name),
                errdetail("It is a virtual generated column, which is computed when it is read."));
    }
    ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
            errmsg("column \"%s\" of relation \"%s\" does not exist", name, RelationGetRelationName(source)));
    pg_unreachable();
}

void CheckSortColumns(const MirrorOptions& options, Relation source) {
    TupleDesc desc = RelationGetDescr(source);
    ListCell* cell;
    foreach (cell, options.sort_columns) {
        const auto* name = static_cast<const char*>(lfirst(cell));
        for (int i = 0; i < foreach_current_index(cell); i++) {
            if (strcmp(static_cast<const char*>(list_nth(options.sort_columns, i)), name) != 0) continue;
            ereport(ERROR, errcode(ERRCODE_DUPLICATE_COLUMN),
                    errmsg("column \"%s\" is twice in option \"%s\"", name, "sort_column"));
        }
        const AttrNumber number = StoredAttribute(name, source);
        if (!IsStoredColumn(options, name)) {
            ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("files can't be sorted by column \"%s\"", name),
                    errdetail("Option \"%s\" leaves the column out of the mirror.", "columns"));
        }
        const FormData_pg_attribute* att = TupleDescAttr(desc, number - 1);
        if (types::HasStoredOrder(types::LookupType(att->atttypid, att->atttypmod)) &&
            OidIsValid(lookup_type_cache(getBaseType(att->atttypid), TYPECACHE_LT_OPR)->lt_opr)) {
            continue;
        }
        const bool numeric = types::TakesNumericScale(att->atttypid, att->atttypmod);
        if (numeric && NumericScaleOf(options, name) != types::kNoNumericScale) continue;
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg("files can't be sorted by column \"%s\" of type %s", name,
                       format_type_with_typemod(att->atttypid, att->atttypmod)),
                errdetail("The form in which files have values of this type does not sort as the values do."),
                numeric ? errhint("Give the column a scale by option \"%s\".", "numeric_scale") : 0);
    }
}

void CheckNumericScales(const MirrorOptions& options, Relation source) {
    TupleDesc desc = RelationGetDescr(source);
    ListCell* cell;
    foreach (cell, options.numeric_scales) {
        const char* name = static_cast<const NumericScale*>(lfirst(cell))->column;
        if (!name) continue;
        const AttrNumber number = StoredAttribute(name, source);
        if (!IsStoredColumn(options, name)) {
            ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("column \"%s\" can't have a numeric scale", name),
                    errdetail("Option \"%s\" leaves the column out of the mirror.", "columns"));
        }
        const FormData_pg_attribute* att = TupleDescAttr(desc, number - 1);
        if (types::TakesNumericScale(att->atttypid, att->atttypmod)) continue;
        ereport(
            ERROR, errcode(ERRCODE_DATATYPE_MISMATCH),
            errmsg("column \"%s\" of type %s can't have a numeric scale", name,
                   format_type_with_typemod(att->atttypid, att->atttypmod)),
            errdetail("Option \"%s\" is for columns of type numeric that files would have as text.", "numeric_scale"),
            errhint("Those are numerics without a precision, or with more than 38 digits. Others have a scale of their "
                    "own."));
    }
}

void ParseObject(Jsonb* json, CreateOptions* options) {
    JsonbIterator* it = JsonbIteratorInit(&json->root);
    JsonbValue key, value;
    JsonbIteratorToken token;
    while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE) {
        if (token != WJB_KEY) continue;
        JsonbIteratorNext(&it, &value, true);
        ParseOption(pnstrdup(key.val.string.val, static_cast<Size>(key.val.string.len)), value, options);
    }
}

// Sets *value to what a JSON object would have for an argument. One of any type is JSON when it comes as a string, so that 4,
// '4' and '{"price": 4}' all do.
void ArgumentAsJson(FunctionCallInfo fcinfo, int number, Oid declared, JsonbValue* value) {
    Datum argument = PG_GETARG_DATUM(number);
    Oid type = declared == ANYCOMPATIBLEOID ? get_fn_expr_argtype(fcinfo->flinfo, number) : declared;
    if (declared == ANYCOMPATIBLEOID && TypeCategory(type) == TYPCATEGORY_STRING) {
        Oid text_output;
        bool is_varlena;
        getTypeOutputInfo(type, &text_output, &is_varlena);
        argument = DirectFunctionCall1(jsonb_in, CStringGetDatum(OidOutputFunctionCall(text_output, argument)));
        type = JSONBOID;
    }
    JsonTypeCategory category;
    Oid output;
    json_categorize_type(type, true, &category, &output);
    auto* jsonb = DatumGetJsonbP(datum_to_jsonb(argument, category, output));
    if (!JsonbExtractScalar(&jsonb->root, value)) JsonbToJsonbValue(jsonb, value);
}

bool HasKey(Jsonb* json, const char* name) {
    JsonbValue value;
    return json && getKeyJsonValueFromContainer(&json->root, name, static_cast<int>(strlen(name)), &value) != nullptr;
}

}  // namespace

CreateOptions ParseOptions(FunctionCallInfo fcinfo, int json) {
    CreateOptions options = {};
    options.wait = true;
    options.mirror.format_version = kFormatVersion;
    Jsonb* object = PG_ARGISNULL(json) ? nullptr : PG_GETARG_JSONB_P(json);
    if (object && !JB_ROOT_IS_OBJECT(object)) {
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("options must be a JSON object"));
    }
    if (object) ParseObject(object, &options);

    HeapTuple procedure = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
    if (!HeapTupleIsValid(procedure)) elog(ERROR, "cache lookup failed for function %u", fcinfo->flinfo->fn_oid);
    Oid* types;
    char** names;
    char* modes;
    const int count = get_func_arg_info(procedure, &types, &names, &modes);
    ReleaseSysCache(procedure);
    for (int i = json + 1; i < Min(count, fcinfo->nargs); i++) {
        if (PG_ARGISNULL(i)) continue;
        if (HasKey(object, names[i])) {
            ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"%s\" is given twice", names[i]));
        }
        JsonbValue value;
        ArgumentAsJson(fcinfo, i, types[i], &value);
        ParseOption(names[i], value, &options);
    }
    if (!options.mirror.warehouse && *default_location)
        options.mirror.warehouse = CheckWarehouse(default_location, false);
    return options;
}

void CheckSourceOptions(const CreateOptions& options, Relation source) {
    ListCell* cell;
    foreach (cell, options.mirror.columns) StoredAttribute(static_cast<const char*>(lfirst(cell)), source);
    CheckSortColumns(options.mirror, source);
    CheckNumericScales(options.mirror, source);
    if (options.key_index) CheckIndex(options.key_index, source);
}

}  // namespace ivy::mooncake
