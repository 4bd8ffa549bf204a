// SPDX-License-Identifier: Apache-2.0
#include "location.h"

extern "C" {
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "port/pg_crc32c.h"
#include "utils/acl.h"
}

#include <sys/stat.h>
#include <unistd.h>
#include <cinttypes>

#include "catalog.h"

namespace ivy::mooncake {
namespace {

// The folder of this database in a warehouse, without the warehouse and with slashes around.
char* OwnFolder() {
    pg_crc32c sum;
    INIT_CRC32C(sum);
    COMP_CRC32C(sum, DataDir, strlen(DataDir));
    FIN_CRC32C(sum);
    return psprintf("/ivy_%016" PRIx64 "_%u_%08x/", GetSystemIdentifier(), MyDatabaseId, sum);
}

char* DefaultFolder() { return psprintf("%s/pg_mooncake/%u/", DataDir, MyDatabaseId); }

// pg_basebackup takes no path of more than 99 bytes below the data directory. Our longest file names are those of
// metadata: "/metadata/0000042-<16 digits>.metadata.json".
constexpr int kLongestPath = 99;
constexpr int kLongestFile = 48;

// Readers take locations for URIs: anything but plain letters and digits is replaced. At most "room" bytes.
void AppendPlain(StringInfo out, const char* name, int room) {
    for (; *name && room > 0; name++, room--) {
        const char c = *name;
        const bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        appendStringInfoChar(out, plain ? c : '_');
    }
}

[[noreturn]] void Refuse(const char* path, const char* why, const char* hint) {
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg("invalid value for option \"%s\": \"%s\"", "location", path), errdetail("%s", why),
            hint ? errhint("%s", hint) : 0);
    pg_unreachable();
}

}  // namespace

bool OwnsLocation(const char* location) {
    const char* folder = DefaultFolder();
    return strncmp(location, folder, strlen(folder)) == 0 || strstr(location, OwnFolder()) != nullptr;
}

char* MirrorLocation(Oid mirror, int generation, const char* warehouse) {
    StringInfoData location;
    initStringInfo(&location);
    if (warehouse) {
        appendStringInfo(&location, "%s%s", warehouse, OwnFolder());
    } else {
        appendStringInfoString(&location, DefaultFolder());
    }
    const char* schema = get_namespace_name(get_rel_namespace(mirror));
    const char* table = get_rel_name(mirror);
    const char* suffix = generation > 1 ? psprintf("-%u.%d", mirror, generation) : psprintf("-%u", mirror);
    if (warehouse) {
        AppendPlain(&location, schema ? schema : "x", NAMEDATALEN);
        appendStringInfoChar(&location, '.');
        AppendPlain(&location, table ? table : "x", NAMEDATALEN);
    } else {
        // The OID makes the name unique; as much of the table's name as there is room for makes it readable.
        const int folder = location.len - static_cast<int>(strlen(DataDir)) - 1;
        AppendPlain(&location, table ? table : "x",
                    Max(kLongestPath - kLongestFile - folder - static_cast<int>(strlen(suffix)), 1));
    }
    appendStringInfoString(&location, suffix);
    return location.data;
}

char* CheckWarehouse(const char* path) {
    if (!has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES)) {
        ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                errmsg("permission denied to set option \"%s\"", "location"),
                errdetail("Only roles with privileges of the \"%s\" role may choose where the server writes files.",
                          "pg_write_server_files"));
    }
    if (strstr(path, "://")) Refuse(path, "Mirrors are kept in local folders.", "Name a folder of the server.");
    if (!is_absolute_path(path)) Refuse(path, "The path is not absolute.", nullptr);
    if (strlen(path) > MAXPGPATH - 2 * NAMEDATALEN - 100) Refuse(path, "The path is too long.", nullptr);
    char* canonical = pstrdup(path);
    canonicalize_path(canonical);
    for (const char* c = canonical; *c; c++) {
        // Readers take locations for URIs.
        if (*c == '%' || *c == '?' || *c == '#' || static_cast<unsigned char>(*c) <= ' ') {
            Refuse(path, "Spaces and the characters %, ? and # can't be used in the location of an Iceberg table.",
                   nullptr);
        }
    }
    if (path_is_prefix_of_path(DataDir, canonical)) {
        Refuse(path, "The folder is in the data directory.",
               "Leave the option out to keep the files in the data directory.");
    }
    struct stat status;
    if (stat(canonical, &status) != 0) {
        ereport(ERROR, errcode_for_file_access(), errmsg("could not access folder \"%s\": %m", canonical),
                errhint("Make the folder, writable for the server's user, before the mirror."));
    }
    if (!S_ISDIR(status.st_mode)) Refuse(path, "It is not a folder.", nullptr);
    if (access(canonical, W_OK | X_OK) != 0) {
        ereport(ERROR, errcode_for_file_access(), errmsg("could not write to folder \"%s\": %m", canonical));
    }
    return canonical;
}

void RemoveEmptyWarehouse(const char* location) {
    const char* own = strstr(location, OwnFolder());
    if (!own) return;
    const char* folder = pnstrdup(location, static_cast<Size>(own - location) + strlen(OwnFolder()) - 1);
    (void)rmdir(folder);
}

}  // namespace ivy::mooncake
