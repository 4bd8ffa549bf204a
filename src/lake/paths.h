// SPDX-License-Identifier: Apache-2.0
//
// The paths in foreign tables' metadata: URIs of several dialects, relative ones, and ones that a table must not name.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace ivy::lake {

// "file:/x", "file:///x" and "file://localhost/x" become "/x", s3a:// and s3n:// become s3://; the rest stays.
std::string NormalPath(std::string_view path);

// Without slashes at its end (but for "/" itself).
std::string WithoutSlash(std::string path);

// Whether a path is on a local disk.
bool IsLocal(std::string_view path);

// Whether a path is on a web server, where folders cannot be listed.
bool IsPlainHttp(std::string_view path);

// Undoes percent-encoding. Stray percent signs stay as they are.
std::string PercentDecoded(std::string_view text);

// The last part of a path.
std::string_view BaseName(std::string_view path);

// Where a file is that a table's metadata names: relative paths are below "table". A table on the network that names a
// local file is refused, and the other way round: who may read the one need not be allowed to read the other.
Result<std::string> ResolvePath(const std::string& table, std::string_view path);

}  // namespace ivy::lake
