// SPDX-License-Identifier: Apache-2.0
// concat, concat_ws and format: functions of any number of values of any types, which they take as text.
#include "translate/query_parts.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
}

namespace ivy::translate {

namespace {

const char* TextLiteral(const char* text, bool is_null = false) {
    return LiteralFor(TEXTOID, -1, CStringGetTextDatum(text), is_null);
}

bool ArgumentText(Translator* t, Node* node, Sql* out) {
    if (exprType(node) == UNKNOWNOID && IsA(node, Const)) {
        const auto* constant = castNode(Const, node);
        *out = Sql{};
        out->text = constant->constisnull ? TextLiteral("", true) : TextLiteral(DatumGetCString(constant->constvalue));
        return true;
    }
    Sql argument;
    return TranslateExpression(t, node, &argument) && TextOf(t, argument, out);
}

// The parts of a format: its text and, where it has %s, the values in turn. NULL counts as empty text.
bool TranslateFormat(Translator* t, FuncExpr* function, Sql* out) {
    const Node* first = static_cast<Node*>(linitial(function->args));
    if (!IsA(first, Const) || reinterpret_cast<const Const*>(first)->constisnull)
        return Refuse(t, "format that is not a constant");
    const char* format = TextDatumGetCString(reinterpret_cast<const Const*>(first)->constvalue);
    StringInfoData text;
    StringInfoData literal;
    initStringInfo(&text);
    initStringInfo(&literal);
    appendStringInfoString(&text, "concat(''");
    int next = 1;
    for (const char* at = format; *at != '\0'; at++) {
        if (*at != '%') {
            appendStringInfoChar(&literal, *at);
            continue;
        }
        at++;
        if (*at == '%') {
            appendStringInfoChar(&literal, '%');
            continue;
        }
        if (*at != 's') return Refuse(t, "format with anything but %%s");
        if (next == list_length(function->args)) return Refuse(t, "format with too few arguments");
        Sql argument;
        if (!ArgumentText(t, static_cast<Node*>(list_nth(function->args, next++)), &argument)) return false;
        if (literal.len > 0) appendStringInfo(&text, ", %s", TextLiteral(literal.data));
        resetStringInfo(&literal);
        appendStringInfo(&text, ", %s", argument.text);
    }
    if (literal.len > 0) appendStringInfo(&text, ", %s", TextLiteral(literal.data));
    appendStringInfoChar(&text, ')');
    out->text = text.data;
    return true;
}

}  // namespace

bool IsConcatenation(Oid function) {
    return function == F_CONCAT || function == F_CONCAT_WS || function == F_FORMAT_TEXT_ANY;
}

bool TranslateConcatenation(Translator* t, FuncExpr* function, Sql* out) {
    if (function->funcvariadic) return Refuse(t, "%s of an array", DescribeFunction(function->funcid));
    *out = Sql{};
    out->type = TEXTOID;
    out->rep = Native(TypeKind::kText);
    if (function->funcid == F_FORMAT_TEXT_ANY) return TranslateFormat(t, function, out);
    StringInfoData text;
    initStringInfo(&text);
    foreach_ptr (Node, node, function->args) {
        Sql argument;
        if (!ArgumentText(t, node, &argument)) return false;
        appendStringInfo(&text, "%s%s", text.len == 0 ? "" : ", ", argument.text);
    }
    // Like Postgres's, DuckDB's functions leave NULLs out.
    out->text = psprintf("%s(%s)", function->funcid == F_CONCAT_WS ? "concat_ws" : "concat", text.data);
    return true;
}

}  // namespace ivy::translate
