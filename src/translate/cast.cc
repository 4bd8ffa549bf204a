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

// Casts through text whose text is the same in both systems.
bool TranslateTextCast(Translator* t, CoerceViaIO* cast, Sql* out) {
    auto* node = reinterpret_cast<Node*>(cast->arg);
    const Oid from = getBaseType(exprType(node));
    const bool to_text = cast->resulttype == TEXTOID || cast->resulttype == VARCHAROID;
    const bool known = from == INT2OID || from == INT4OID || from == INT8OID || from == NUMERICOID || from == UUIDOID;
    if (!to_text || !known) {
        return Refuse(t, "cast from %s to %s", format_type_be(from), format_type_be(cast->resulttype));
    }
    Sql argument;
    if (!TranslateExpression(t, node, &argument)) return false;
    *out = Sql{};
    out->text = from == NUMERICOID ? ToNumericText(argument).text : psprintf("CAST(%s AS VARCHAR)", argument.text);
    out->type = cast->resulttype;
    out->rep = Native(TypeKind::kText);
    return true;
}

}  // namespace ivy::translate
