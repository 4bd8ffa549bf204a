// SPDX-License-Identifier: Apache-2.0
//
// Which metadata file of an Iceberg table is the current one, where no catalog says so.
//
// A path that ends in ".metadata.json" (or ".metadata.json.gz") is that file. Any other path is the table's folder,
// whose current metadata file is found in its folder "metadata":
//   1. by version-hint.text, which holds a number N: v<N>.metadata.json (or .gz.metadata.json, or without the "v");
//   while
//      there is one of the next number, that one, since writers move the hint last;
//   2. without a hint, the file of the largest version in its name (v<N>... or <N>-<uuid>...); of several with that
//   number
//      the one that was last updated by its own word (last-updated-ms).
#pragma once

#include <string>

#include "iceberg/metadata.h"
#include "lake/table_io.h"

namespace ivy::lake {

struct IcebergLocation {
    std::string table;  // the table's folder, as it is reached from here
    std::string metadata_file;
    iceberg::TableMetadata metadata;
};

// "version" chooses among the versions in the table's folder: empty as above, a number that version, "?" as without a
// hint, any other text the name of the hint's file. An error if the path is no Iceberg table.
Result<IcebergLocation> FindIcebergMetadata(TableIo* io, const std::string& path, const std::string& version);

}  // namespace ivy::lake
