// SPDX-License-Identifier: Apache-2.0
//
// The Avro schemas of manifests and manifest lists, with the field ids that the Iceberg specification gives.
#pragma once

#include <string>

namespace ivy::iceberg {

// Of a manifest of an unpartitioned spec, for version 2 or 3.
std::string ManifestAvroSchema(int format_version);
// Of a manifest list, for version 2 or 3.
std::string ManifestListAvroSchema(int format_version);

}  // namespace ivy::iceberg
