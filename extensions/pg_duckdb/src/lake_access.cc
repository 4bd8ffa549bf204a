// SPDX-License-Identifier: Apache-2.0
// Access to files: kinds of locations, and roles.
#include "lake_access.h"

#include "settings.h"

extern "C" {
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_proc.h"
#include "utils/acl.h"
}

namespace ivy::duck {

namespace {

// What httpfs handles. Everything else with a scheme is refused: nobody has thought about who may use it.
constexpr const char* kNetworkSchemes[] = {"s3://", "s3a://",  "s3n://",   "gs://", "gcs://",
                                           "r2://", "http://", "https://", "hf://"};

// The end of "scheme://", or null.
const char* SchemeEnd(const char* path) {
    const char* at = path;
    while (isalnum(static_cast<unsigned char>(*at)) || *at == '+' || *at == '-' || *at == '.' || *at == '_') at++;
    return at > path && strncmp(at, "://", 3) == 0 ? at + 3 : nullptr;
}

void CheckLocal(const char* path, LakeAccess access) {
    const Oid role = access == LakeAccess::kRead ? ROLE_PG_READ_SERVER_FILES : ROLE_PG_WRITE_SERVER_FILES;
    if (has_privs_of_role(GetUserId(), role)) return;
    const char* name = access == LakeAccess::kRead ? "pg_read_server_files" : "pg_write_server_files";
    ereport(ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
             errmsg("permission denied to %s local file \"%s\"", access == LakeAccess::kRead ? "read" : "write", path),
             errdetail("Only roles with privileges of the \"%s\" role may do this.", name)));
}

void CheckNetwork(const char* path) {
    if (superuser()) return;
    const char* name = lake_network_role;
    if (name && strcmp(name, "public") == 0) return;
    const Oid role = name && *name ? get_role_oid(name, true) : InvalidOid;
    if (OidIsValid(role) && has_privs_of_role(GetUserId(), role)) return;
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("permission denied to access network location \"%s\"", path),
                    OidIsValid(role) ? errdetail("Only roles with privileges of the \"%s\" role may do this.", name)
                                     : errdetail("Only superusers may do this."),
                    OidIsValid(role) ? 0
                                     : errhint("An administrator can create the role that \"duckdb.lake_network_role\" "
                                               "names and grant it.")));
}

}  // namespace

bool IsNetworkPath(const char* path) {
    for (const char* scheme : kNetworkSchemes) {
        if (pg_strncasecmp(path, scheme, strlen(scheme)) == 0) return true;
    }
    return false;
}

void CheckNetworkAccess(const char* location) { CheckNetwork(location); }

void CheckLakeAccess(const List* paths, LakeAccess access) {
    ListCell* cell;
    foreach (cell, paths) {
        const char* path = static_cast<char*>(lfirst(cell));
        if (IsNetworkPath(path)) {
            CheckNetwork(path);
            continue;
        }
        if (SchemeEnd(path) && pg_strncasecmp(path, "file://", 7) != 0) {
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("location \"%s\" is not supported", path),
                            errhint("Use a local path, or a URL with s3, gs, r2, http or https.")));
        }
        CheckLocal(path, access);
    }
}

void CheckLakeCall(Oid function, const List* paths) {
    const AclResult result = object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE);
    if (result != ACLCHECK_OK) aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
    InvokeFunctionExecuteHook(function);
    CheckLakeAccess(paths, LakeAccess::kRead);
}

}  // namespace ivy::duck
