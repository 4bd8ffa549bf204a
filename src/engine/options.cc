// SPDX-License-Identifier: Apache-2.0
// Options: parsing the command line.
#include "engine/options.h"

#include <fcntl.h>

#include <charconv>
#include <climits>
#include <cstdlib>
#include <sstream>

#include "protocol/engine_process.h"

namespace ivy::engine {
namespace {

template <typename T>
Status ParseNumber(const std::string& name, const std::string& value, T minimum, T maximum, T* out) {
    T number{};
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || number < minimum || number > maximum) {
        return Status::Make(sqlstate::kInvalidParameter, "invalid value \"" + value + "\" of option " + name);
    }
    *out = number;
    return Status::Ok();
}

Status Set(const std::string& name, const std::string& value, Options* options) {
    if (name == "--database") return ParseNumber<uint32_t>(name, value, 1, UINT32_MAX, &options->database);
    if (name == "--parent-fd") return ParseNumber<int>(name, value, 0, INT_MAX, &options->parent_fd);
    if (name == "--memory-limit") return ParseNumber<uint64_t>(name, value, 0, UINT64_MAX, &options->memory_limit);
    if (name == "--temp-limit") return ParseNumber<uint64_t>(name, value, 0, UINT64_MAX, &options->temp_limit);
    if (name == "--threads") return ParseNumber<int>(name, value, 0, 1024, &options->threads);
    IngestOptions& ingest = options->ingest;
    if (name == "--flush-rows") return ParseNumber<uint64_t>(name, value, 1, UINT64_MAX, &ingest.flush_rows);
    if (name == "--flush-bytes") {
        ingest.flush_bytes_fixed = true;
        return ParseNumber<uint64_t>(name, value, 1, UINT64_MAX, &ingest.flush_bytes);
    }
    if (name == "--force-bytes") return ParseNumber<uint64_t>(name, value, 1, UINT64_MAX / 2, &ingest.force_bytes);
    if (name == "--copy-file-bytes") return ParseNumber<uint64_t>(name, value, 1, UINT64_MAX, &ingest.copy_file_bytes);
    if (name == "--keep-snapshots") return ParseNumber<int>(name, value, 1, INT_MAX, &ingest.keep_snapshots);
    if (name == "--flush-age") {
        int age = 0;
        IVY_RETURN_IF_ERROR(ParseNumber<int>(name, value, 0, INT_MAX, &age));
        ingest.flush_age = std::chrono::milliseconds(age);
        ingest.flush_age_fixed = true;
        return Status::Ok();
    }
    if (name == "--socket") {
        options->socket = value;
    } else if (name == "--folder") {
        options->folder = value;
    } else {
        return Status::Make(sqlstate::kInvalidParameter, "unknown option " + name);
    }
    return Status::Ok();
}

}  // namespace

Result<Options> Options::Parse(const std::vector<std::string>& given) {
    Options options;
    std::vector<std::string> arguments;
    const char* environment = std::getenv("IVY_ENGINE_OPTIONS");
    std::istringstream words(environment ? environment : "");
    for (std::string word; words >> word;) arguments.push_back(word);
    arguments.insert(arguments.end(), given.begin(), given.end());
    for (size_t i = 0; i < arguments.size(); i++) {
        const size_t equals = arguments[i].find('=');
        const std::string name = arguments[i].substr(0, equals);
        if (equals == std::string::npos && i + 1 == arguments.size()) {
            return Status::Make(sqlstate::kInvalidParameter, "option " + name + " needs a value");
        }
        const std::string value = equals == std::string::npos ? arguments[++i] : arguments[i].substr(equals + 1);
        IVY_RETURN_IF_ERROR(Set(name, value, &options));
    }
    if (options.database == 0 || options.folder.empty()) {
        return Status::Make(sqlstate::kInvalidParameter, "--database and --folder are required");
    }
    if (options.socket.empty()) options.socket = options.folder + "/" + kEngineSocketName;
    options.ingest.folder = options.folder;
    if (options.memory_limit > 0) options.ingest.delta_memory = options.memory_limit / 2;
    if (options.parent_fd < 0 && fcntl(kLifelineFd, F_GETFD) >= 0) options.parent_fd = kLifelineFd;
    return options;
}

const char* Options::Usage() {
    return "usage: ivy_engine --database OID --folder PATH [--socket PATH] [--parent-fd N]\n"
           "                  [--memory-limit BYTES] [--temp-limit BYTES] [--threads N]\n"
           "                  [--flush-rows N] [--flush-bytes N] [--flush-age MS] [--force-bytes N]\n"
           "                  [--copy-file-bytes N] [--keep-snapshots N]\n"
           "The columnar engine of one database. It is started by the server's engine launcher.\n";
}

}  // namespace ivy::engine
