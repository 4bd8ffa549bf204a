// SPDX-License-Identifier: Apache-2.0
#include "translate/signature.h"

#include <algorithm>

extern "C" {
#include "catalog/pg_language.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/fmgrtab.h"
}

namespace ivy::translate {

namespace {

constexpr int kMaxSignatures = 1024;
// All tables, sorted by OID; built once in a process.
const Signature* sorted[kMaxSignatures];
int sorted_count = 0;

void SortSignatures() {
    const SignatureTable tables[] = {NumericSignatures(), TextSignatures(),      DatetimeSignatures(),
                                     CastSignatures(),    AggregateSignatures(), WindowSignatures(),
                                     JsonSignatures(),    OrderedSignatures(),   IntervalSignatures(),
                                     FormatSignatures(),  ArraySignatures()};
    int count = 0;
    for (const SignatureTable& table : tables) {
        if (count + table.count > kMaxSignatures) elog(ERROR, "too many signatures");
        for (int i = 0; i < table.count; i++) sorted[count++] = &table.rows[i];
    }
    std::sort(sorted, sorted + count, [](const Signature* a, const Signature* b) { return a->function < b->function; });
    for (int i = 1; i < count; i++) {
        if (sorted[i]->function == sorted[i - 1]->function) {
            elog(ERROR, "two signatures for function %u", sorted[i]->function);
        }
    }
    sorted_count = count;
}

// The OID under which the tables know a function: its own for a built-in one; that of the built-in one with the same code
// if the function is written in language "internal", as are those of types that some servers add. InvalidOid if the
// function isn't one that everyone may execute.
Oid CanonicalFunction(Oid function) {
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple)) return InvalidOid;
    const auto* proc = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    Oid canonical = function;
    if (!heap_attisnull(tuple, Anum_pg_proc_proacl, nullptr)) {
        canonical = InvalidOid;
    } else if (function >= FirstGenbkiObjectId) {
        canonical = InvalidOid;
        if (proc->prolang == INTERNALlanguageId && proc->prokind == PROKIND_FUNCTION) {
            const Datum source = SysCacheGetAttrNotNull(PROCOID, tuple, Anum_pg_proc_prosrc);
            canonical = fmgr_internal_function(TextDatumGetCString(source));
        }
    }
    ReleaseSysCache(tuple);
    return canonical;
}

ColumnType LetterType(char letter) {
    switch (letter) {
        case 'b': return Native(TypeKind::kBool);
        case '2': return Native(TypeKind::kInt16);
        case '4': return Native(TypeKind::kInt32);
        case '8': return Native(TypeKind::kInt64);
        case 'f': return Native(TypeKind::kFloat);
        case 'd': return Native(TypeKind::kDouble);
        case 'n':
        case 'S': return Native(TypeKind::kDecimal);
        case 't':
        case 'c':
        case 'j':
        case 'p':
        case 'e': return Native(TypeKind::kText);
        case 'y': return Native(TypeKind::kBytes);
        case 'D': return Native(TypeKind::kDate);
        case 'T': return Native(TypeKind::kTime);
        case 's': return Native(TypeKind::kTimestamp);
        case 'z': return Native(TypeKind::kTimestampTz);
        case 'u': return Native(TypeKind::kUuid);
        case 'i': return Native(TypeKind::kInterval);
        default: elog(ERROR, "unknown letter \"%c\" in a signature", letter);
    }
}

// Casts that widen without loss, which the server's cross-type functions do inside.
bool Widens(TypeKind from, TypeKind to) {
    switch (from) {
        case TypeKind::kInt16: return to == TypeKind::kInt32 || to == TypeKind::kInt64;
        case TypeKind::kInt32: return to == TypeKind::kInt64;
        case TypeKind::kFloat: return to == TypeKind::kDouble;
        case TypeKind::kDate: return to == TypeKind::kTimestamp;
        default: return false;
    }
}

const char* TypeText(Oid type) { return format_type_be(type); }

}  // namespace

const Signature* FindSignature(Oid function) {
    if (sorted_count == 0) SortSignatures();
    const Oid canonical = CanonicalFunction(function);
    const Signature* const* end = sorted + sorted_count;
    const Signature* const* found = std::lower_bound(static_cast<const Signature* const*>(sorted), end, canonical,
                                                     [](const Signature* row, Oid oid) { return row->function < oid; });
    return found != end && (*found)->function == canonical && OidIsValid(canonical) ? *found : nullptr;
}

const char* DescribeFunction(Oid function) {
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple)) return psprintf("function %u", function);
    const auto* proc = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    StringInfoData out;
    initStringInfo(&out);
    appendStringInfo(&out, "function %s(", NameStr(proc->proname));
    for (int i = 0; i < proc->pronargs; i++) {
        if (i > 0) appendStringInfoString(&out, ", ");
        appendStringInfoString(&out, TypeText(proc->proargtypes.values[i]));
    }
    appendStringInfoChar(&out, ')');
    ReleaseSysCache(tuple);
    return out.data;
}

const char* DescribeOperator(Oid op) {
    HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(op));
    if (!HeapTupleIsValid(tuple)) return psprintf("operator %u", op);
    const auto* form = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
    const char* text =
        OidIsValid(form->oprleft)
            ? psprintf("operator %s(%s, %s)", NameStr(form->oprname), TypeText(form->oprleft), TypeText(form->oprright))
            : psprintf("operator %s(%s)", NameStr(form->oprname), TypeText(form->oprright));
    ReleaseSysCache(tuple);
    return text;
}

const Signature* FindOperator(Translator* t, Oid op, List* args) {
    const Signature* signature = FindSignature(get_opcode(op));
    if (signature == nullptr || static_cast<int>(strcspn(signature->types, ">")) != list_length(args)) {
        Refuse(t, "%s", DescribeOperator(op));
        return nullptr;
    }
    return signature;
}

bool RefuseCall(const Call& call, const char* why) {
    return Refuse(call.t, "%s: %s", DescribeFunction(call.signature->function), why);
}

bool PrepareArguments(Translator* t, const Signature& signature, Sql* args, int count, Oid collation) {
    const char* name = nullptr;
    switch (signature.needs) {
        case Needs::kNothing: break;
        case Needs::kDeterministic:
            if (!IsDeterministic(collation)) {
                return Refuse(t, "%s under a nondeterministic collation", DescribeFunction(signature.function));
            }
            break;
        case Needs::kBytes: {
            if (SortsByBytes(collation)) break;
            bool has_keys = false;
            name = signature.IsComparison() ? CollationName(collation, &has_keys) : nullptr;
            if (name == nullptr || !has_keys) {
                return Refuse(t, "%s under a collation that does not sort by bytes",
                              DescribeFunction(signature.function));
            }
            break;
        }
    }
    // Where the collation isn't that of bytes, its sort keys are compared.
    if (name != nullptr) {
        for (int i = 0; i < count; i++) {
            if (args[i].text_form || args[i].rep.kind != TypeKind::kText)
                return Refuse(t, "type %s", TypeText(args[i].type));
            if (signature.types[i] == 'c') args[i].text = psprintf("rtrim(%s, ' ')", args[i].text);
            args[i].text = psprintf("ivy_collation_key(%s, %s)", args[i].text, name);
        }
        return true;
    }
    bool numeric_text = false;
    for (int i = 0; i < count; i++) numeric_text |= signature.types[i] == 'n' && IsNumericText(args[i]);
    for (int i = 0; i < count; i++) {
        const char letter = signature.types[i];
        if (letter == '?') {
            if (args[i].scale_kind != NumericScale::kFixed) args[i] = ToNumericText(args[i]);
            continue;
        }
        if ((letter == 'n' || letter == 'S') && (IsNumeric(args[i]) || IsNumericText(args[i]))) {
            if (signature.IsComparison()) {
                if (numeric_text) {
                    args[i] = ToNumericText(args[i]);
                    args[i].text = psprintf("ivy_num_key(%s)", args[i].text);
                }
            } else if (args[i].scale_kind == NumericScale::kLiteral ||
                       (letter == 'n' && args[i].scale_kind != NumericScale::kFixed)) {
                args[i] = ToNumericText(args[i]);
            }
            continue;
        }
        if (letter == '*') {
            if (args[i].text_form) {
                return Refuse(t, "type %s has no native form in the engine", TypeText(args[i].type));
            }
            continue;
        }
        const ColumnType wanted = LetterType(letter);
        if (letter == 'j') {
            if (args[i].type != JSONBOID || args[i].rep.kind != TypeKind::kText)
                return Refuse(t, "type %s", TypeText(args[i].type));
            continue;
        }
        if (letter == 'e') {
            if (!args[i].text_form || !HasTextEquality(args[i].type)) {
                return Refuse(t, "equality of type %s", TypeText(args[i].type));
            }
            continue;
        }
        if (args[i].text_form) return Refuse(t, "type %s has no native form in the engine", TypeText(args[i].type));
        if (args[i].rep.kind == wanted.kind) {
            // Blanks at the end don't count when bpchars are compared.
            if (letter == 'i' && signature.IsComparison())
                args[i].text = psprintf("ivy_interval_key(%s)", args[i].text);
            if (letter == 'c') args[i].text = psprintf("rtrim(%s, ' ')", args[i].text);
            continue;
        }
        if (!Widens(args[i].rep.kind, wanted.kind)) {
            return Refuse(t, "%s over a value stored as %s", DescribeFunction(signature.function),
                          TypeName(args[i].rep));
        }
        args[i].text = CastTo(args[i], wanted);
        args[i].rep = wanted;
    }
    return true;
}

const char* Expand(const char* sql, const Sql* args, int count, const char* aggregate) {
    StringInfoData out;
    initStringInfo(&out);
    for (const char* p = sql; *p != '\0'; p++) {
        if (p[0] == '$' && p[1] == 'a') {
            appendStringInfoString(&out, aggregate);
            p++;
        } else if (p[0] == '$' && p[1] >= '1' && p[1] - '1' < count) {
            appendStringInfoString(&out, args[p[1] - '1'].text);
            p++;
        } else {
            appendStringInfoChar(&out, *p);
        }
    }
    return out.data;
}

const char* AggregateOf(const Call& call, const char* name, const char* text) {
    return psprintf("%s%s%s%s", name, call.before, text, call.after);
}

bool AddsFloats(const Signature& signature) {
    return strpbrk(signature.types, "fd") != nullptr && signature.sql != nullptr &&
           (strstr(signature.sql, "sum") != nullptr || strstr(signature.sql, "avg") != nullptr ||
            strstr(signature.sql, "ivy_") != nullptr);
}

const char* OrderedOf(const Call& call, const char* name, const char* text) {
    StringInfoData out;
    initStringInfo(&out);
    appendStringInfo(&out, "%s%s%s", name, call.before, text);
    for (int i = 0; i < call.key_count; i++) {
        appendStringInfo(&out, "%s%s %s", i == 0 ? " ORDER BY " : ", ", call.keys[i].text,
                         SortDirection(call.keys[i].descending, call.keys[i].nulls_first));
    }
    appendStringInfoString(&out, call.after);
    return out.data;
}

const char* NumericTemplate(const char* sql, bool text_form) {
    const char* second = strchr(sql, '|');
    if (second == nullptr) return sql;
    return text_form ? second + 1 : pnstrdup(sql, second - sql);
}

void SetResult(const Call& call, char letter, const char* text, Sql* out) {
    if (letter == 'n') {
        *out = NumericText(text);
        return;
    }
    *out = letter == 'j' ? ColumnOf(JSONBOID, -1, nullptr) : Sql{};
    out->text = text;
    out->type = getBaseType(call.result_type);
    out->rep = LetterType(letter);
}

bool ApplySignature(const Call& call, Sql* out) {
    const Signature& signature = *call.signature;
    if (signature.rewrite != nullptr) return signature.rewrite(call, out);
    const char result = strchr(signature.types, '>')[1];
    const char* text = signature.IsComparison()
                           ? psprintf("(%s %s %s)", call.args[0].text, signature.sql, call.args[1].text)
                           : Expand(signature.sql, call.args, call.count, call.aggregate);
    SetResult(call, result, text, out);
    return true;
}

bool ConstText(const Call& call, int argument, char** out) {
    const Node* node = static_cast<Node*>(list_nth(call.nodes, argument));
    if (!IsA(node, Const)) return false;
    const auto* constant = reinterpret_cast<const Const*>(node);
    if (constant->constisnull || (constant->consttype != TEXTOID && constant->consttype != VARCHAROID)) return false;
    *out = TextDatumGetCString(constant->constvalue);
    return true;
}

bool ConstInt(const Call& call, int argument, int32* out) {
    const Node* node = static_cast<Node*>(list_nth(call.nodes, argument));
    if (!IsA(node, Const)) return false;
    const auto* constant = reinterpret_cast<const Const*>(node);
    if (constant->constisnull || constant->consttype != INT4OID) return false;
    *out = DatumGetInt32(constant->constvalue);
    return true;
}

}  // namespace ivy::translate
