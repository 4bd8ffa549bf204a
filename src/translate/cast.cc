// SPDX-License-Identifier: Apache-2.0
// Casts that are no function calls: those that keep the bits, and those by way of text.
#include "translate/query_parts.h"

extern "C" {
#include "nodes/nodeFuncs.h"
}

namespace ivy::translate {

bool TranslateRelabel(Translator* t, RelabelType* relabel, Sql* out) {
    if (!TranslateExpression(t, reinterpret_cast<Node*>(relabel->arg), out)) return false;
    const Sql wanted = ColumnOf(relabel->resulttype, relabel->resulttypmod, out->text);
    // The bits stay; so must what they mean to DuckDB. A numeric keeps the scale that it has.
    const bool numeric = (IsNumeric(*out) || IsNumericText(*out)) && wanted.type == NUMERICOID;
    if (!numeric && (wanted.rep.kind != out->rep.kind || wanted.text_form != out->text_form)) {
        return Refuse(t, "cast from %s to %s", format_type_be(out->type), format_type_be(relabel->resulttype));
    }
    if (wanted.text_form && !numeric && wanted.type != out->type) {
        return Refuse(t, "cast from %s to %s", format_type_be(out->type), format_type_be(relabel->resulttype));
    }
    out->type = wanted.type;
    return true;
}

namespace {

// A type's values from text: a function of the engine.
struct Input {
    Oid type;
    const char* sql;
    TypeKind kind;
};
constexpr Input kInputs[] = {
    {BOOLOID, "ivy_bool_of_text(%s)", TypeKind::kBool},
    {INT2OID, "ivy_int2_of_text(%s)", TypeKind::kInt16},
    {INT4OID, "ivy_int4_of_text(%s)", TypeKind::kInt32},
    {INT8OID, "ivy_int8_of_text(%s)", TypeKind::kInt64},
    {FLOAT4OID, "ivy_float_of_text(%s)", TypeKind::kFloat},
    {FLOAT8OID, "ivy_double_of_text(%s)", TypeKind::kDouble},
    {DATEOID, "ivy_date_of_text(%s)", TypeKind::kDate},
    {TIMESTAMPOID, "ivy_timestamp_of_text(%s)", TypeKind::kTimestamp},
    {TIMESTAMPTZOID, "ivy_zoned_of_text(%s)", TypeKind::kTimestampTz},
    {UUIDOID, "CAST(ivy_uuid_of_text(%s) AS UUID)", TypeKind::kUuid},
};

bool IsText(Oid type) { return type == TEXTOID || type == VARCHAROID || type == BPCHAROID; }

}  // namespace

bool FromText(Translator* t, const Sql& text, Oid type, Sql* out) {
    if (type == NUMERICOID) {
        *out = NumericText(psprintf("ivy_num_of_text(%s)", text.text));
        return true;
    }
    for (const Input& input : kInputs) {
        if (input.type != type) continue;
        *out = Sql{};
        out->text = psprintf(input.sql, text.text);
        out->type = type;
        out->rep = Native(input.kind);
        return true;
    }
    return Refuse(t, "cast from text to %s", format_type_be(type));
}

bool TextOf(Translator* t, const Sql& e, Sql* out) {
    const char* text = nullptr;
    const char* setting;
    switch (e.type) {
        case TEXTOID:
        case VARCHAROID:
        case BPCHAROID:
        case NAMEOID:
        case JSONOID: text = e.rep.kind == TypeKind::kText ? e.text : nullptr; break;
        case INT2OID:
        case INT4OID:
        case INT8OID:
        case OIDOID:
        case UUIDOID: text = psprintf("CAST(%s AS VARCHAR)", e.text); break;
        case NUMERICOID: text = ToNumericText(e).text; break;
        case BOOLOID: text = psprintf("CASE WHEN %s THEN 't' WHEN NOT %s THEN 'f' END", e.text, e.text); break;
        case FLOAT4OID:
        case FLOAT8OID:
            if (!TranslateSetting(t, "extra_float_digits", &setting)) return false;
            text = psprintf("%s(%s, %s)", e.type == FLOAT4OID ? "ivy_float_text" : "ivy_double_text", e.text, setting);
            break;
        case DATEOID:
        case TIMESTAMPOID:
        case TIMESTAMPTZOID: {
            const char* function = e.type == DATEOID        ? "ivy_date_text"
                                   : e.type == TIMESTAMPOID ? "ivy_timestamp_text"
                                                            : "ivy_zoned_text";
            if (!TranslateSetting(t, "DateStyle", &setting)) return false;
            text = psprintf("%s(%s, %s)", function, e.text, setting);
            break;
        }
        case TIMEOID: text = psprintf("ivy_time_text(%s)", e.text); break;
        case INTERVALOID:
            if (!TranslateSetting(t, "IntervalStyle", &setting)) return false;
            text = psprintf("ivy_interval_text(%s, %s)", e.text, setting);
            break;
        default:
            // Their output functions depend on no setting.
            if (e.text_form && (HasTextEquality(e.type) || e.type == JSONBOID)) text = e.text;
            break;
    }
    if (text == nullptr) return Refuse(t, "cast from %s to text", format_type_be(e.type));
    *out = Sql{};
    out->text = text;
    out->type = TEXTOID;
    out->rep = Native(TypeKind::kText);
    return true;
}

// Casts through the types' text: their output and input functions.
bool TranslateTextCast(Translator* t, CoerceViaIO* cast, Sql* out) {
    auto* node = reinterpret_cast<Node*>(cast->arg);
    const Oid from = getBaseType(exprType(node));
    const Oid to = getBaseType(cast->resulttype);
    const bool to_text = to == TEXTOID || to == VARCHAROID;
    // Trailing blanks of a bpchar matter to few types.
    const bool known = to_text || (IsText(from) && (from != BPCHAROID || to != UUIDOID));
    if (!known || to != cast->resulttype)
        return Refuse(t, "cast from %s to %s", format_type_be(from), format_type_be(cast->resulttype));
    Sql argument;
    if (!TranslateExpression(t, node, &argument)) return false;
    if (to_text) {
        if (!TextOf(t, argument, out)) return false;
        out->type = to;
        return true;
    }
    if (argument.text_form || argument.rep.kind != TypeKind::kText) {
        return Refuse(t, "cast from %s to %s", format_type_be(from), format_type_be(cast->resulttype));
    }
    return FromText(t, argument, to, out);
}

}  // namespace ivy::translate
