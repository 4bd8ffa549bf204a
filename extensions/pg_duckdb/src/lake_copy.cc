// SPDX-License-Identifier: Apache-2.0
// COPY by the engine: which statements, and what they become.
#include "lake_copy.h"

#include "lake_access.h"
#include "lake_arguments.h"

extern "C" {
#include "access/xact.h"
#include "commands/defrem.h"
#include "tcop/utility.h"
}

namespace ivy::duck {

namespace {

ProcessUtility_hook_type previous_utility;

bool HasJsonEnding(const char* path) {
    for (const char* ending : {".json", ".ndjson", ".jsonl", ".json.gz", ".ndjson.gz", ".jsonl.gz"}) {
        if (HasEnding(path, ending)) return true;
    }
    return false;
}

CopyFormat FormatOf(const CopyStmt* copy) {
    if (!copy->filename || copy->is_program) return CopyFormat::kServer;
    const char* format = nullptr;
    ListCell* cell;
    foreach (cell, copy->options) {
        auto* option = lfirst_node(DefElem, cell);
        if (strcmp(option->defname, "format") == 0) format = defGetString(option);
    }
    const bool network = IsNetworkPath(copy->filename);
    if (format ? strcmp(format, "parquet") == 0 : HasEnding(copy->filename, ".parquet")) return CopyFormat::kParquet;
    if (format ? strcmp(format, "json") == 0 : network && HasJsonEnding(copy->filename)) return CopyFormat::kJson;
    if (!network) return CopyFormat::kServer;
    if (copy->is_from) return CopyFormat::kBytes;
    if (format ? strcmp(format, "csv") == 0 : HasCsvEnding(copy->filename)) return CopyFormat::kCsv;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("COPY TO format \"%s\" is not supported at network locations", format ? format : "text"),
                    errhint("Use FORMAT parquet, csv or 'json'.")));
    pg_unreachable();
}

uint64 RunCopy(const CopyStmt* copy, CopyFormat format, const PlannedStmt* stmt, const char* text) {
    if (!copy->is_from) return CopyToFile(copy, format, stmt, text);
    return format == CopyFormat::kBytes ? CopyFromBytes(copy, text) : CopyFromFile(copy, format);
}

void OnUtility(PlannedStmt* stmt, const char* text, bool read_only_tree, ProcessUtilityContext context,
               ParamListInfo params, QueryEnvironment* environment, DestReceiver* dest, QueryCompletion* completion) {
    // The statement itself may be gone afterwards.
    const bool is_setting = IsA(stmt->utilityStmt, VariableSetStmt), drops_roles = IsA(stmt->utilityStmt, DropRoleStmt);
    if (IsA(stmt->utilityStmt, CopyStmt)) {
        const auto* copy = reinterpret_cast<const CopyStmt*>(stmt->utilityStmt);
        if (const CopyFormat format = FormatOf(copy); format != CopyFormat::kServer) {
            const uint64 rows = RunCopy(copy, format, stmt, text);
            if (completion) SetQueryCompletion(completion, CMDTAG_COPY, rows);
            return;
        }
    }
    if (previous_utility) {
        previous_utility(stmt, text, read_only_tree, context, params, environment, dest, completion);
    } else {
        standard_ProcessUtility(stmt, text, read_only_tree, context, params, environment, dest, completion);
    }
    if (is_setting) RenewLakeArguments();
    if (drops_roles) {
        CommandCounterIncrement();
        RemoveSecretsOfDroppedRoles();
    }
}

}  // namespace

bool HasEnding(const char* path, const char* ending) {
    const size_t length = strlen(path), tail = strlen(ending);
    return length >= tail && pg_strcasecmp(path + length - tail, ending) == 0;
}

bool HasCsvEnding(const char* path) {
    return HasEnding(path, ".csv") || HasEnding(path, ".csv.gz") || HasEnding(path, ".csv.zst");
}

void InstallLakeCopy() {
    previous_utility = ProcessUtility_hook;
    ProcessUtility_hook = OnUtility;
}

}  // namespace ivy::duck
