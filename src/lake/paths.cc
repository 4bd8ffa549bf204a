// SPDX-License-Identifier: Apache-2.0
#include "lake/paths.h"

namespace ivy::lake {
namespace {

int HexDigit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool HasScheme(std::string_view path) { return path.find("://") != std::string_view::npos; }

}  // namespace

std::string NormalPath(std::string_view path) {
    for (const std::string_view prefix : {"file://localhost/", "file:///", "file:/"}) {
        if (!path.starts_with(prefix)) continue;
        path.remove_prefix(prefix.size() - 1);
        while (path.starts_with("//")) path.remove_prefix(1);
        return std::string(path);
    }
    for (const std::string_view prefix : {"s3a://", "s3n://"}) {
        if (path.starts_with(prefix)) return "s3://" + std::string(path.substr(prefix.size()));
    }
    return std::string(path);
}

std::string WithoutSlash(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path;
}

bool IsLocal(std::string_view path) { return !HasScheme(path) || path.starts_with("file:"); }

bool IsPlainHttp(std::string_view path) {
    std::string scheme(path.substr(0, path.find("://")));
    for (char& c : scheme) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    return HasScheme(path) && (scheme == "http" || scheme == "https" || scheme == "hf");
}

std::string PercentDecoded(std::string_view text) {
    std::string decoded;
    decoded.reserve(text.size());
    for (size_t i = 0; i < text.size(); i++) {
        const int high = text[i] == '%' && i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
        const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
        if (low >= 0) {
            decoded += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            decoded += text[i];
        }
    }
    return decoded;
}

std::string_view BaseName(std::string_view path) { return path.substr(path.find_last_of('/') + 1); }

Result<std::string> ResolvePath(const std::string& table, std::string_view path) {
    const std::string normal = NormalPath(path);
    if (normal.empty() || normal.find('\0') != std::string::npos) {
        return Status::Corrupt("table \"" + table + "\" names a file without a name");
    }
    if (!HasScheme(normal) && normal.front() != '/') return WithoutSlash(table) + "/" + normal;
    if (IsLocal(normal) != IsLocal(table)) {
        return Status::Make(sqlstate::kFeatureNotSupported, "table \"" + table + "\" names the file \"" + normal + "\"",
                            "A table on the network cannot have local files, nor a local table files on the network.");
    }
    return normal;
}

}  // namespace ivy::lake
