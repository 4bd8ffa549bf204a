// SPDX-License-Identifier: Apache-2.0
//
// Secrets: credentials for network locations, kept in a table that only this code reads. It belongs to the extension and
// is not marked for dumping, so that no dump has it. A role uses the secrets that it created and those granted to a role of
// which it is a member; being a superuser is not enough. The engine gets them with each query that opens a network
// location, for the time of that query. What a dropped role had goes with it: at once in the database where it was dropped,
// elsewhere with the next secret, and is not used meanwhile.
#include "lake_access.h"

#include "mirrors.h"

extern "C" {
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "funcapi.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/formatting.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(duckdb_create_secret);
PG_FUNCTION_INFO_V1(duckdb_drop_secret);
PG_FUNCTION_INFO_V1(duckdb_grant_secret);
PG_FUNCTION_INFO_V1(duckdb_revoke_secret);
}

namespace ivy::duck {

namespace {

// Columns of mooncake.secret_store.
enum StoreColumn : int { kOwner, kName, kType, kScope, kOptions, kGranted, kColumns };

constexpr const char* kTypes[] = {"s3", "gcs", "r2"};
constexpr const char* kExtraOptions[] = {
    "region", "endpoint", "url_style", "use_ssl", "session_token", "account_id", "url_compatibility_mode"};

Relation OpenStore(LOCKMODE mode) {
    const Oid relid = get_relname_relid("secret_store", get_namespace_oid("mooncake", false));
    if (!OidIsValid(relid)) elog(ERROR, "table mooncake.secret_store does not exist");
    return table_open(relid, mode);
}

struct StoredSecret {
    ItemPointerData tid;
    Datum values[kColumns];
    bool nulls[kColumns];
};

Oid OwnerOf(const StoredSecret* secret) { return DatumGetObjectId(secret->values[kOwner]); }
char* NameOf(const StoredSecret* secret) { return TextDatumGetCString(secret->values[kName]); }

bool RoleExists(Oid role) { return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)); }

// All secrets (StoredSecret*), copied: also those of roles that are gone, which another database may have dropped.
List* ReadStore(Relation store) {
    List* secrets = NIL;
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    TableScanDesc scan = table_beginscan(store, snapshot, 0, nullptr);
    HeapTuple tuple;
    while ((tuple = heap_getnext(scan, ForwardScanDirection)) != nullptr) {
        auto* secret = static_cast<StoredSecret*>(palloc0(sizeof(StoredSecret)));
        HeapTuple copy = heap_copytuple(tuple);
        secret->tid = copy->t_self;
        heap_deform_tuple(copy, RelationGetDescr(store), secret->values, secret->nulls);
        secrets = lappend(secrets, secret);
    }
    table_endscan(scan);
    UnregisterSnapshot(snapshot);
    return secrets;
}

// The current user's secret of that name, or null.
StoredSecret* FindOwn(Relation store, const char* name) {
    ListCell* cell;
    foreach (cell, ReadStore(store)) {
        auto* secret = static_cast<StoredSecret*>(lfirst(cell));
        if (OwnerOf(secret) == GetUserId() && strcmp(NameOf(secret), name) == 0) return secret;
    }
    return nullptr;
}

[[noreturn]] void RaiseUnknown(const char* name) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("secret \"%s\" does not exist", name),
                    errhint("Only secrets of the current user can be changed.")));
    pg_unreachable();
}

List* TextsOf(Datum array) {
    Datum* elements;
    bool* nulls;
    int count;
    List* texts = NIL;
    deconstruct_array_builtin(DatumGetArrayTypeP(array), TEXTOID, &elements, &nulls, &count);
    for (int i = 0; i < count; i++) {
        if (!nulls[i]) texts = lappend(texts, TextDatumGetCString(elements[i]));
    }
    return texts;
}

List* OidsOf(Datum array) {
    Datum* elements;
    int count;
    List* oids = NIL;
    deconstruct_array_builtin(DatumGetArrayTypeP(array), OIDOID, &elements, nullptr, &count);
    for (int i = 0; i < count; i++) oids = lappend_oid(oids, DatumGetObjectId(elements[i]));
    return oids;
}

Datum OidArray(List* oids) {
    auto* elements = static_cast<Datum*>(palloc(sizeof(Datum) * Max(list_length(oids), 1)));
    for (int i = 0; i < list_length(oids); i++) elements[i] = ObjectIdGetDatum(list_nth_oid(oids, i));
    return PointerGetDatum(construct_array_builtin(elements, list_length(oids), OIDOID));
}

Datum TextArray(List* texts) {
    auto* elements = static_cast<Datum*>(palloc(sizeof(Datum) * Max(list_length(texts), 1)));
    for (int i = 0; i < list_length(texts); i++)
        elements[i] = CStringGetTextDatum(static_cast<char*>(list_nth(texts, i)));
    return PointerGetDatum(construct_array_builtin(elements, list_length(texts), TEXTOID));
}

bool MayUse(const StoredSecret* secret, Oid user) {
    if (OwnerOf(secret) == user) return true;
    if (!RoleExists(OwnerOf(secret))) return false;
    ListCell* cell;
    foreach (cell, OidsOf(secret->values[kGranted])) {
        const Oid role = lfirst_oid(cell);
        if (role == ACL_ID_PUBLIC || is_member_of_role_nosuper(user, role)) return true;
    }
    return false;
}

char* JsonText(JsonbValue* value) {
    switch (value->type) {
        case jbvString: return pnstrdup(value->val.string.val, value->val.string.len);
        case jbvBool: return pstrdup(value->val.boolean ? "true" : "false");
        case jbvNumeric: return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
        default: return nullptr;
    }
}

// Splits the extra options of create_secret into scope (char*) and options (char*: name, value, ...).
void ReadExtra(Jsonb* extra, List** scope, List** options) {
    JsonbIterator* iterator = JsonbIteratorInit(&extra->root);
    JsonbValue value;
    JsonbIteratorToken token;
    if (JsonbIteratorNext(&iterator, &value, true) != WJB_BEGIN_OBJECT) {
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("extra options of a secret must be a JSON object")));
    }
    while ((token = JsonbIteratorNext(&iterator, &value, true)) == WJB_KEY) {
        char* name = asc_tolower(value.val.string.val, value.val.string.len);
        JsonbIteratorNext(&iterator, &value, true);
        if (strcmp(name, "scope") == 0 && value.type == jbvBinary) {
            JsonbIterator* elements = JsonbIteratorInit(value.val.binary.data);
            JsonbValue element;
            while ((token = JsonbIteratorNext(&elements, &element, true)) != WJB_DONE) {
                if (token == WJB_ELEM && element.type == jbvString) *scope = lappend(*scope, JsonText(&element));
            }
            continue;
        }
        char* input = JsonText(&value);
        if (strcmp(name, "scope") == 0 && input) {
            *scope = lappend(*scope, input);
            continue;
        }
        bool known = false;
        for (const char* option : kExtraOptions) known = known || strcmp(option, name) == 0;
        if (!known || !input) {
            ereport(
                ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid option \"%s\" of a secret", name),
                 errhint("Options are region, endpoint, url_style, use_ssl, session_token, account_id and scope.")));
        }
        *options = lappend(lappend(*options, name), input);
    }
}

char* RequiredText(FunctionCallInfo fcinfo, int i, const char* what) {
    if (PG_ARGISNULL(i))
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s of a secret must not be null", what)));
    return text_to_cstring(PG_GETARG_TEXT_PP(i));
}

// Adds a role to those that may use a secret, or takes it away.
void ChangeGrant(FunctionCallInfo fcinfo, bool grant) {
    const char* name = RequiredText(fcinfo, 0, "name");
    const char* role_name = RequiredText(fcinfo, 1, "role");
    const Oid role = strcmp(role_name, "public") == 0 ? ACL_ID_PUBLIC : get_role_oid(role_name, false);
    Relation store = OpenStore(RowExclusiveLock);
    StoredSecret* secret = FindOwn(store, name);
    if (!secret) RaiseUnknown(name);
    List* granted = OidsOf(secret->values[kGranted]);
    granted = grant ? list_append_unique_oid(granted, role) : list_delete_oid(granted, role);
    secret->values[kGranted] = OidArray(granted);
    HeapTuple tuple = heap_form_tuple(RelationGetDescr(store), secret->values, secret->nulls);
    CatalogTupleUpdate(store, &secret->tid, tuple);
    table_close(store, NoLock);
    TellSecretsChanged();
}

}  // namespace

void RemoveSecretsOfDroppedRoles() {
    const Oid schema = get_namespace_oid("mooncake", true);
    if (!OidIsValid(schema) || !OidIsValid(get_relname_relid("secret_store", schema))) return;
    Relation store = OpenStore(RowExclusiveLock);
    ListCell* cell;
    foreach (cell, ReadStore(store)) {
        auto* secret = static_cast<StoredSecret*>(lfirst(cell));
        if (!RoleExists(OwnerOf(secret))) {
            CatalogTupleDelete(store, &secret->tid);
            continue;
        }
        List* left = NIL;
        List* granted = OidsOf(secret->values[kGranted]);
        ListCell* role;
        foreach (role, granted) {
            if (lfirst_oid(role) == ACL_ID_PUBLIC || RoleExists(lfirst_oid(role)))
                left = lappend_oid(left, lfirst_oid(role));
        }
        if (list_length(left) == list_length(granted)) continue;
        secret->values[kGranted] = OidArray(left);
        CatalogTupleUpdate(store, &secret->tid,
                           heap_form_tuple(RelationGetDescr(store), secret->values, secret->nulls));
    }
    table_close(store, NoLock);
}

List* SecretsFor(const List* paths) {
    bool any = false;
    ListCell* cell;
    foreach (cell, paths) any = any || IsNetworkPath(static_cast<char*>(lfirst(cell)));
    return any ? SecretsOf(GetUserId()) : NIL;
}

List* SecretsOf(Oid user) {
    List* usable = NIL;
    ListCell* cell;
    Relation store = OpenStore(AccessShareLock);
    foreach (cell, ReadStore(store)) {
        const auto* stored = static_cast<StoredSecret*>(lfirst(cell));
        if (!MayUse(stored, user)) continue;
        auto* secret = static_cast<LakeSecret*>(palloc0(sizeof(LakeSecret)));
        secret->name = psprintf("%s of %u", NameOf(stored), OwnerOf(stored));
        secret->type = TextDatumGetCString(stored->values[kType]);
        secret->scope = TextsOf(stored->values[kScope]);
        secret->options = TextsOf(stored->values[kOptions]);
        usable = lappend(usable, secret);
    }
    table_close(store, AccessShareLock);
    return usable;
}

}  // namespace ivy::duck

Datum duckdb_create_secret(PG_FUNCTION_ARGS) {
    using namespace ivy::duck;
    const char* name = RequiredText(fcinfo, 0, "name");
    const char* given = RequiredText(fcinfo, 1, "type");
    const char* type = asc_tolower(given, strlen(given));
    bool known = false;
    for (const char* candidate : kTypes) known = known || strcmp(candidate, type) == 0;
    if (!known) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("secret type \"%s\" is not known", given),
                        errhint("Types are s3, gcs and r2.")));
    }
    List* scope = NIL;
    List* options = list_make4(pstrdup("key_id"), RequiredText(fcinfo, 2, "key_id"), pstrdup("secret"),
                               RequiredText(fcinfo, 3, "secret"));
    if (!PG_ARGISNULL(4)) ReadExtra(PG_GETARG_JSONB_P(4), &scope, &options);

    RemoveSecretsOfDroppedRoles();
    Relation store = OpenStore(RowExclusiveLock);
    if (FindOwn(store, name)) {
        ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("secret \"%s\" already exists", name)));
    }
    Datum values[kColumns] = {ObjectIdGetDatum(GetUserId()),
                              CStringGetTextDatum(name),
                              CStringGetTextDatum(type),
                              TextArray(scope),
                              TextArray(options),
                              OidArray(NIL)};
    bool nulls[kColumns] = {};
    CatalogTupleInsert(store, heap_form_tuple(RelationGetDescr(store), values, nulls));
    table_close(store, NoLock);
    TellSecretsChanged();
    PG_RETURN_VOID();
}

Datum duckdb_drop_secret(PG_FUNCTION_ARGS) {
    using namespace ivy::duck;
    const char* name = RequiredText(fcinfo, 0, "name");
    Relation store = OpenStore(RowExclusiveLock);
    StoredSecret* secret = FindOwn(store, name);
    if (!secret) RaiseUnknown(name);
    CatalogTupleDelete(store, &secret->tid);
    table_close(store, NoLock);
    TellSecretsChanged();
    PG_RETURN_VOID();
}

Datum duckdb_grant_secret(PG_FUNCTION_ARGS) {
    ivy::duck::ChangeGrant(fcinfo, true);
    PG_RETURN_VOID();
}

Datum duckdb_revoke_secret(PG_FUNCTION_ARGS) {
    ivy::duck::ChangeGrant(fcinfo, false);
    PG_RETURN_VOID();
}
