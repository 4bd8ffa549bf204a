// SPDX-License-Identifier: Apache-2.0
//
// Arrays, which the engine has in their text form: constructors, subscripts, "= ANY", unnest, and the functions of arrays. What
// is compared are the texts of elements, so only types are let in whose values are equal just when their texts are.
#include "translate/query_parts.h"

extern "C" {
#include "catalog/pg_collation.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
}

namespace ivy::translate {

namespace {

enum class ElementKind : uint8_t { kNone, kText, kInteger, kBoolean, kUuid };

// Of types whose text is the same under all settings, and equal for equal values only.
ElementKind KindOf(Oid type) {
    switch (type) {
        case TEXTOID:
        case VARCHAROID: return ElementKind::kText;
        case INT2OID:
        case INT4OID:
        case INT8OID: return ElementKind::kInteger;
        case BOOLOID: return ElementKind::kBoolean;
        case UUIDOID: return ElementKind::kUuid;
        default: return ElementKind::kNone;
    }
}

Oid ElementType(Node* array) { return get_element_type(getBaseType(exprType(array))); }
ElementKind ElementKindOf(Node* array) {
    const Oid element = ElementType(array);
    return OidIsValid(element) ? KindOf(element) : ElementKind::kNone;
}

// The array that a cast leaves as it is to its text: of varchar[] to text[], or of integers to wider ones.
Node* WithoutCasts(Node* node) {
    for (;;) {
        Node* inner;
        if (IsA(node, RelabelType)) {
            inner = reinterpret_cast<Node*>(castNode(RelabelType, node)->arg);
        } else if (IsA(node, ArrayCoerceExpr)) {
            const auto* cast = castNode(ArrayCoerceExpr, node);
            inner = reinterpret_cast<Node*>(cast->arg);
            // Casts of elements that may change them, such as to a length, have other expressions.
            const bool widens = IsA(cast->elemexpr, FuncExpr) && ElementKindOf(node) == ElementKind::kInteger &&
                                get_typlen(ElementType(node)) > get_typlen(ElementType(inner));
            if (!IsA(cast->elemexpr, RelabelType) && !widens) return node;
        } else {
            return node;
        }
        if (ElementKindOf(inner) == ElementKind::kNone || ElementKindOf(inner) != ElementKindOf(node)) return node;
        node = inner;
    }
}

// The text of an array, whose elements may be of any type if it is stored: then settings had no influence on it.
bool ArrayText(Translator* t, Node* node, const char** text) {
    node = WithoutCasts(node);
    if (!OidIsValid(ElementType(node))) return Refuse(t, "type %s as an array", format_type_be(exprType(node)));
    Sql value;
    if (!IsValue(node)) {
        if (!TranslateExpression(t, node, &value)) return false;
        if (!value.text_form) return Refuse(t, "array that has no text form");
        *text = value.text;
        return true;
    }
    if (!TranslateArrayValue(t, node, &value)) return false;
    *text = value.text;
    return true;
}

// An element's value from its text.
bool ElementOf(Translator* t, Oid type, const char* text, Sql* out) {
    const Oid base = getBaseType(type);
    *out = ColumnOf(base, -1, text);
    if (KindOf(base) == ElementKind::kText || (out->text_form && HasTextEquality(base)) || IsNumericText(*out))
        return true;
    Sql source;
    source.text = text;
    source.type = TEXTOID;
    source.rep = Native(TypeKind::kText);
    if (base == TIMESTAMPTZOID) return Refuse(t, "element of type %s", format_type_be(type));
    return FromText(t, source, base, out);
}

// Both arguments as texts of arrays whose elements can be compared as texts.
bool ComparedTexts(const Call& call, Sql* texts) {
    for (int i = 0; i < 2; i++) {
        auto* node = static_cast<Node*>(list_nth(call.nodes, i));
        if (ElementKindOf(node) == ElementKind::kNone)
            return RefuseCall(call, "elements that are not compared as texts");
        if (!ArrayText(call.t, node, &texts[i].text)) return false;
    }
    return IsDeterministic(call.collation) ||
           ElementKindOf(static_cast<Node*>(linitial(call.nodes))) != ElementKind::kText ||
           RefuseCall(call, "nondeterministic collation");
}

bool CompareArrays(const Call& call, Sql* out) {
    Sql texts[2];
    if (!ComparedTexts(call, texts)) return false;
    *out = Boolean(Expand(call.signature->sql, texts, 2));
    return true;
}

// A function of an array, whose other arguments are plain.
bool OfArray(const Call& call, Sql* out) {
    Sql args[4];
    for (int i = 1; i < call.count; i++) args[i] = call.args[i];
    if (!ArrayText(call.t, static_cast<Node*>(linitial(call.nodes)), &args[0].text)) return false;
    SetResult(call, strchr(call.signature->types, '>')[1], Expand(call.signature->sql, args, call.count), out);
    return true;
}

// array_to_string shows elements as their output functions do.
bool JoinArray(const Call& call, Sql* out) {
    if (ElementKindOf(static_cast<Node*>(linitial(call.nodes))) == ElementKind::kNone) {
        return RefuseCall(call, "elements whose text depends on settings");
    }
    return OfArray(call, out);
}

// A NULL separator would split between characters.
bool SplitText(const Call& call, Sql* out) {
    char* separator;
    if (!ConstText(call, 1, &separator)) return RefuseCall(call, "separator that is not a constant");
    *out = ColumnOf(TEXTARRAYOID, -1,
                    psprintf("ivy_array(ivy_string_split(%s, %s))", call.args[0].text, call.args[1].text));
    return true;
}

// Some signatures are written in two pieces, because "??>" would be a trigraph.
constexpr Signature kRows[] = {
    {F_ARRAYCONTAINS,
     "?"
     "?>b",
     "ivy_array_contains($1, $2)", Needs::kNothing, CompareArrays},
    {F_ARRAYCONTAINED,
     "?"
     "?>b",
     "ivy_array_contains($2, $1)", Needs::kNothing, CompareArrays},
    {F_ARRAYOVERLAP,
     "?"
     "?>b",
     "ivy_array_overlaps($1, $2)", Needs::kNothing, CompareArrays},
    // Texts show bounds and dimensions too.
    {F_ARRAY_EQ,
     "?"
     "?>b",
     "($1 = $2)", Needs::kNothing, CompareArrays},
    {F_ARRAY_NE,
     "?"
     "?>b",
     "($1 <> $2)", Needs::kNothing, CompareArrays},
    {F_ARRAY_LENGTH, "?4>4", "ivy_array_length($1, $2)", Needs::kNothing, OfArray},
    {F_ARRAY_LOWER, "?4>4", "ivy_array_lower($1, $2)", Needs::kNothing, OfArray},
    {F_ARRAY_UPPER, "?4>4", "ivy_array_upper($1, $2)", Needs::kNothing, OfArray},
    {F_ARRAY_NDIMS, "?>4", "ivy_array_ndims($1)", Needs::kNothing, OfArray},
    {F_CARDINALITY, "?>4", "ivy_array_cardinality($1)", Needs::kNothing, OfArray},
    {F_ARRAY_TO_STRING_ANYARRAY_TEXT, "?t>t", "ivy_array_join($1, $2)", Needs::kNothing, JoinArray},
    {F_STRING_TO_ARRAY_TEXT_TEXT, "tt>?", "", Needs::kDeterministic, SplitText},
};

}  // namespace

bool TranslateArrayValue(Translator* t, Node* node, Sql* out) {
    if (ElementKindOf(node) == ElementKind::kNone)
        return Refuse(t, "constant or parameter of type %s", format_type_be(exprType(node)));
    auto* cast = makeNode(CoerceViaIO);
    cast->arg = reinterpret_cast<Expr*>(copyObjectImpl(node));
    cast->resulttype = TEXTOID;
    cast->resultcollid = DEFAULT_COLLATION_OID;
    cast->coerceformat = COERCE_EXPLICIT_CAST;
    cast->location = -1;
    Sql value;
    if (!TranslateValue(t, reinterpret_cast<Node*>(cast), &value)) return false;
    *out = ColumnOf(exprType(node), -1, value.text);
    out->is_null = value.is_null;
    return true;
}

SignatureTable ArraySignatures() { return {kRows, lengthof(kRows)}; }

bool TranslateArray(Translator* t, ArrayExpr* array, Sql* out) {
    if (array->multidims || KindOf(array->element_typeid) == ElementKind::kNone) {
        return Refuse(t, "array constructor of type %s", format_type_be(array->array_typeid));
    }
    StringInfoData list;
    initStringInfo(&list);
    foreach_ptr (Node, node, array->elements) {
        Sql element;
        Sql text;
        if (!TranslateExpression(t, node, &element) || !TextOf(t, element, &text)) return false;
        appendStringInfo(&list, "%s%s", list.len == 0 ? "" : ", ", text.text);
    }
    *out = ColumnOf(array->array_typeid, -1, psprintf("ivy_array(CAST([%s] AS VARCHAR[]))", list.data));
    return true;
}

bool TranslateSubscript(Translator* t, SubscriptingRef* subscript, Sql* out) {
    auto* array = reinterpret_cast<Node*>(subscript->refexpr);
    if (IsA(array, Aggref)) return TranslateElement(t, subscript, out);
    if (subscript->refassgnexpr != nullptr || subscript->reflowerindexpr != NIL ||
        list_length(subscript->refupperindexpr) != 1 || !OidIsValid(ElementType(array)) ||
        exprType(static_cast<Node*>(linitial(subscript->refupperindexpr))) != INT4OID) {
        return Refuse(t, "subscript");
    }
    const char* text;
    Sql index;
    return ArrayText(t, array, &text) &&
           TranslateExpression(t, static_cast<Node*>(linitial(subscript->refupperindexpr)), &index) &&
           ElementOf(t, ElementType(array), psprintf("ivy_array_element(%s, %s)", text, index.text), out);
}

bool TranslateAnyOfArray(Translator* t, const Signature* signature, ScalarArrayOpExpr* expression, Sql* out) {
    auto* scalar = static_cast<Node*>(linitial(expression->args));
    auto* array = static_cast<Node*>(lsecond(expression->args));
    const char* op = expression->useOr ? "=" : "<>";
    const ElementKind kind = ElementKindOf(array);
    if (!signature->IsComparison() || strcmp(signature->sql, op) != 0 || kind == ElementKind::kNone ||
        KindOf(getBaseType(exprType(scalar))) != kind) {
        return Refuse(t, "ANY or ALL of an array that varies by row");
    }
    if (kind == ElementKind::kText && !IsDeterministic(expression->inputcollid)) {
        return Refuse(t, "ANY or ALL under a nondeterministic collation");
    }
    const char* text;
    Sql value;
    Sql value_text;
    if (!ArrayText(t, array, &text) || !TranslateExpression(t, scalar, &value) || !TextOf(t, value, &value_text))
        return false;
    // NULL is not among no elements.
    const char* any = psprintf(
        "CASE WHEN %s IS NULL THEN CASE WHEN ivy_array_cardinality(%s) = 0 THEN FALSE END ELSE ivy_array_any(%s, %s) "
        "END",
        value.text, text, text, value_text.text);
    *out = Boolean(expression->useOr ? any : psprintf("(NOT %s)", any));
    return true;
}

bool TranslateUnnest(Translator* t, RangeTblEntry* rte, const char** text, Sql* column) {
    const auto* function = castNode(RangeTblFunction, linitial(rte->functions));
    if (list_length(rte->functions) != 1 || rte->funcordinality || !IsA(function->funcexpr, FuncExpr) ||
        castNode(FuncExpr, function->funcexpr)->funcid != F_UNNEST_ANYARRAY) {
        return Refuse(t, "function in FROM with arguments from other tables");
    }
    Node* array = Fold(t, static_cast<Node*>(linitial(castNode(FuncExpr, function->funcexpr)->args)));
    const char* array_text;
    const char* alias = NewAlias(t);
    if (!ArrayText(t, array, &array_text) || !ElementOf(t, ElementType(array), psprintf("%s.e", alias), column))
        return false;
    *text = psprintf("LATERAL (SELECT %s AS c1 FROM (SELECT unnest(ivy_array_elements(%s)) AS e) AS %s)", column->text,
                     array_text, alias);
    column->text = nullptr;
    return true;
}

}  // namespace ivy::translate
