// SPDX-License-Identifier: Apache-2.0
// How values of Postgres types look in DuckDB.
#include "translate/translator.h"

#include "pg/guard.h"
#include "types/type_map.h"

extern "C" {
#include "nodes/value.h"
}

namespace ivy::translate {

bool Refuse(Translator* t, const char* format, ...) {
    StringInfoData text;
    initStringInfo(&text);
    for (;;) {
        va_list args;
        va_start(args, format);
        const int needed = appendStringInfoVA(&text, format, args);
        va_end(args);
        if (needed == 0) break;
        enlargeStringInfo(&text, needed);
    }
    String* reason = makeString(text.data);
    t->reasons = list_append_unique(t->reasons, reason);
    return false;
}

const char* TypeName(ColumnType type) {
    char name[NAMEDATALEN];
    pg::Guard([&] { strlcpy(name, type.DuckName().c_str(), sizeof name); });
    return pstrdup(name);
}

ColumnType Native(TypeKind kind) {
    ColumnType type;
    type.kind = kind;
    return type;
}

ColumnType Decimal(int precision, int scale) {
    ColumnType type;
    type.kind = TypeKind::kDecimal;
    type.precision = static_cast<uint8_t>(Min(precision, 38));
    type.scale = static_cast<uint8_t>(scale);
    return type;
}

Sql ColumnOf(Oid type, int32 typmod, const char* text) {
    const types::TypeMapping mapping = types::LookupType(type, typmod);
    Sql out;
    out.text = text;
    out.type = mapping.base;
    out.rep = mapping.column;
    out.text_form = mapping.form == types::Form::kTextForm;
    return out;
}

const char* CastTo(const Sql& expression, ColumnType type) {
    if (expression.rep == type) return expression.text;
    return psprintf("CAST(%s AS %s)", expression.text, TypeName(type));
}

Sql NumericText(const char* text) {
    Sql out;
    out.text = text;
    out.type = NUMERICOID;
    out.rep = Native(TypeKind::kText);
    out.text_form = true;
    return out;
}

const char* ScaleOf(const Sql& e) {
    if (e.is_null) return "CAST(NULL AS INTEGER)";
    return e.scale_kind == NumericScale::kByRow ? e.scale : psprintf("CAST(%d AS INTEGER)", e.rep.scale);
}

Sql ToNumericText(const Sql& e) {
    if (e.text_form) return e;
    const char* text = psprintf("CAST(%s AS VARCHAR)", e.text);
    if (e.scale_kind == NumericScale::kByRow) text = psprintf("ivy_num_round(%s, %s)", text, e.scale);
    Sql out = NumericText(text);
    out.is_null = e.is_null;
    return out;
}

const char* ConvertTo(const Sql& e, const Sql& common) {
    return IsNumericText(common) && IsNumeric(e) ? ToNumericText(e).text : CastTo(e, common.rep);
}

bool CommonType(Translator* t, const Sql* expressions, int count, const char* what, Sql* out) {
    const Sql* first = nullptr;
    bool same_scale = true;
    bool numeric_text = false;
    int scale = 0;
    int digits = 0;  // before the point
    for (int i = 0; i < count; i++) {
        const Sql& e = expressions[i];
        if (e.is_null) continue;
        if (first == nullptr) first = &e;
        const bool numerics = (IsNumeric(e) || IsNumericText(e)) && (IsNumeric(*first) || IsNumericText(*first));
        if (numerics && (e.text_form || e.scale_kind == NumericScale::kLiteral)) numeric_text = true;
        if (!numerics && (e.rep.kind != first->rep.kind || e.text_form != first->text_form ||
                          (e.text_form && e.type != first->type))) {
            return Refuse(t, "%s of values with different representations", what);
        }
        if (!IsNumeric(e)) continue;
        if (e.scale_kind == NumericScale::kByRow || e.rep.scale != first->rep.scale) same_scale = false;
        scale = Max(scale, static_cast<int>(e.rep.scale));
        digits = Max(digits, e.rep.precision - e.rep.scale);
    }
    const Sql& model = first != nullptr ? *first : expressions[0];
    *out = Sql{};
    out->type = model.type;
    out->rep = model.rep;
    out->text_form = model.text_form;
    out->is_null = first == nullptr;
    if (first == nullptr) return true;
    if (numeric_text || (IsNumeric(model) && digits + scale > 38 && !same_scale)) {
        *out = NumericText(nullptr);
    } else if (IsNumeric(model)) {
        out->rep = Decimal(Max(digits + scale, 1), scale);
        out->scale_kind = same_scale ? NumericScale::kFixed : NumericScale::kByRow;
    }
    return true;
}

}  // namespace ivy::translate
