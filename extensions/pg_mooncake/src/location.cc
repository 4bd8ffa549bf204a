// SPDX-License-Identifier: Apache-2.0
#include "location.h"

extern "C" {
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "common/file_perm.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "utils/acl.h"
}

#include <sys/stat.h>
#include <unistd.h>
#include <cinttypes>

#include "catalog.h"
#include "module.h"
#include "worker.h"

namespace ivy::mooncake {
namespace {

constexpr char kNetworkScheme[] = "s3://";
constexpr int kLongestWarehouse = 512;
constexpr int kProbeTimeoutMs = 90 * 1000;

// What tells this data directory from its copies: in a file that base backups leave out because of its name.
constexpr char kOwnerFolder[] = "pg_mooncake";
constexpr char kOwnerFile[] = "pg_mooncake/pgsql_tmp_owner";
constexpr int kOwnerLength = 16;

bool ReadOwner(char* owner) {
    const int fd = OpenTransientFile(kOwnerFile, O_RDONLY | PG_BINARY);
    if (fd < 0) return false;
    const bool complete =
        read(fd, owner, kOwnerLength) == kOwnerLength && strspn(owner, "0123456789abcdef") >= kOwnerLength;
    CloseTransientFile(fd);
    owner[kOwnerLength] = '\0';
    return complete;
}

// Writes it under another name first, so that it is never there in part; of several who do so the first one wins.
void MakeOwner() {
    uint8 bytes[kOwnerLength / 2];
    if (!pg_strong_random(bytes, sizeof bytes)) ereport(ERROR, errmsg("could not generate random values"));
    if (MakePGDirectory(kOwnerFolder) < 0 && errno != EEXIST) {
        ereport(ERROR, errcode_for_file_access(), errmsg("could not create directory \"%s\": %m", kOwnerFolder));
    }
    const char* draft = psprintf("%s.%d", kOwnerFile, MyProcPid);
    const int fd = OpenTransientFile(draft, O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY);
    if (fd < 0) ereport(ERROR, errcode_for_file_access(), errmsg("could not create file \"%s\": %m", draft));
    StringInfoData text;
    initStringInfo(&text);
    for (const uint8 byte : bytes) appendStringInfo(&text, "%02x", byte);
    if (write(fd, text.data, kOwnerLength) != kOwnerLength || pg_fsync(fd) != 0) {
        ereport(ERROR, errcode_for_file_access(), errmsg("could not write file \"%s\": %m", draft));
    }
    if (CloseTransientFile(fd) != 0) {
        ereport(ERROR, errcode_for_file_access(), errmsg("could not close file \"%s\": %m", draft));
    }
    if (link(draft, kOwnerFile) != 0 && errno != EEXIST) {
        ereport(ERROR, errcode_for_file_access(), errmsg("could not create file \"%s\": %m", kOwnerFile));
    }
    (void)unlink(draft);
    fsync_fname(kOwnerFolder, true);
}

// Null if there is none and none is to be made.
const char* NetworkOwner(bool make) {
    static char owner[kOwnerLength + 1];
    if (owner[0] != '\0' || ReadOwner(owner)) return owner;
    owner[0] = '\0';
    if (!make) return nullptr;
    MakeOwner();
    if (!ReadOwner(owner))
        ereport(ERROR, errcode_for_file_access(), errmsg("could not read file \"%s\": %m", kOwnerFile));
    return owner;
}

// The folder of this database in a warehouse, without the warehouse and with slashes around.
char* OwnFolder(const char* owner) {
    return psprintf("/ivy_%016" PRIx64 "_%u_%s/", GetSystemIdentifier(), MyDatabaseId, owner);
}

char* LocalOwner() {
    pg_crc32c sum;
    INIT_CRC32C(sum);
    COMP_CRC32C(sum, DataDir, strlen(DataDir));
    FIN_CRC32C(sum);
    return psprintf("%08x", sum);
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

// Names that need no escaping anywhere, because every reader of the table makes URLs of them in its own way.
char* CheckNetworkWarehouse(const char* path) {
    Api().check_network_access(path);
    if (strlen(path) > kLongestWarehouse) Refuse(path, "The location is too long.", nullptr);
    char* canonical = psprintf("%s%s", kNetworkScheme, path + strlen(kNetworkScheme));
    for (size_t end = strlen(canonical); canonical[end - 1] == '/' && end > strlen(kNetworkScheme); end--)
        canonical[end - 1] = '\0';
    bool bucket = true;
    const char* segment = canonical + strlen(kNetworkScheme);
    for (const char* c = segment;; c++) {
        if (*c == '/' || *c == '\0') {
            const auto length = static_cast<size_t>(c - segment);
            if (bucket && (length < 3 || length > 63 || !isalnum(static_cast<unsigned char>(*segment)))) {
                Refuse(path, "It does not name a bucket.", "Write s3://bucket or s3://bucket/prefix.");
            }
            if (length == 0 || strncmp(segment, ".", Max(length, 1)) == 0 ||
                strncmp(segment, "..", Max(length, 2)) == 0) {
                Refuse(path, "The parts of a prefix can't be empty, \".\" or \"..\".", nullptr);
            }
            if (*c == '\0') return canonical;
            bucket = false;
            segment = c + 1;
            continue;
        }
        const bool plain = isascii(static_cast<unsigned char>(*c)) &&
                           (isalnum(static_cast<unsigned char>(*c)) || strchr(bucket ? ".-" : "._-=", *c) != nullptr);
        if (!plain) {
            Refuse(path,
                   bucket ? "Names of buckets have letters, digits, dots and hyphens."
                          : "A prefix may have letters, digits, and the characters . _ - and =.",
                   nullptr);
        }
    }
}

}  // namespace

bool OwnsLocation(const char* location) {
    if (IsNetworkLocation(location)) {
        const char* owner = NetworkOwner(false);
        return owner && strstr(location, OwnFolder(owner)) != nullptr;
    }
    const char* folder = DefaultFolder();
    return strncmp(location, folder, strlen(folder)) == 0 || strstr(location, OwnFolder(LocalOwner())) != nullptr;
}

char* MirrorLocation(Oid mirror, int generation, const char* warehouse) {
    StringInfoData location;
    initStringInfo(&location);
    if (warehouse) {
        const char* owner = IsNetworkLocation(warehouse) ? NetworkOwner(true) : LocalOwner();
        appendStringInfo(&location, "%s%s", warehouse, OwnFolder(owner));
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

bool IsNetworkLocation(const char* location) {
    return pg_strncasecmp(location, kNetworkScheme, strlen(kNetworkScheme)) == 0;
}

char* CheckWarehouse(const char* path, bool chosen) {
    if (IsNetworkLocation(path)) return CheckNetworkWarehouse(path);
    if (strstr(path, "://")) {
        Refuse(path, "Mirrors are kept in local folders, or in buckets with the S3 protocol (s3://).", nullptr);
    }
    if (chosen && !has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES)) {
        ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                errmsg("permission denied to set option \"%s\"", "location"),
                errdetail("Only roles with privileges of the \"%s\" role may choose where the server writes files.",
                          "pg_write_server_files"));
    }
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

List* LocationSecrets(const char* location, Oid owner) {
    return IsNetworkLocation(location) ? Api().secrets_of(owner) : NIL;
}

void ProbeWarehouse(const char* warehouse, Oid owner) {
    if (!warehouse || !IsNetworkLocation(warehouse)) return;
    char* location = psprintf("%s%s", warehouse, OwnFolder(NetworkOwner(true)));
    location[strlen(location) - 1] = '\0';
    const List* secrets = LocationSecrets(location, owner);
    Api().probe_location(MyDatabaseId, location, secrets, kProbeTimeoutMs);
}

void RemoveEmptyWarehouse(const char* location) {
    if (IsNetworkLocation(location)) return;
    const char* own = strstr(location, OwnFolder(LocalOwner()));
    if (!own) return;
    const char* folder = pnstrdup(location, static_cast<Size>(own - location) + strlen(OwnFolder(LocalOwner())) - 1);
    (void)rmdir(folder);
}

}  // namespace ivy::mooncake
