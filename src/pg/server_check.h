// SPDX-License-Identifier: Apache-2.0
//
// Refuses to run in a server of another flavour than the one that the module was built for.
//
// IvorySQL's structs differ from PostgreSQL's (node numbers, pg_class, tuple descriptors and more) while its module
// magic is the same, so that each server loads modules of the other and then misreads memory. Only what is the same in
// both is used to find out: a setting that IvorySQL alone has.
#pragma once

namespace ivy::pg {

// Call first in _PG_init. ereports if the server is not of the kind that "module" was built for.
void CheckServer(const char* module);

}  // namespace ivy::pg
