// SPDX-License-Identifier: Apache-2.0
//
// Options of lake functions written as NAME=VALUE: mooncake.read_csv('/a.csv', HEADER=TRUE).
//
// To SQL that is a comparison with a column. IvorySQL's raw parser can be wrapped, in both of its modes: there, such an
// argument becomes HEADER => TRUE before anything else sees it. PostgreSQL's can't be, and the missing column is an error
// before any hook; there, the error gets a hint.
#pragma once

namespace ivy::duck {

// Call in _PG_init, when the libraries that are preloaded earlier are loaded.
void InstallLakeArguments();

// Call after a SET or RESET, which may have changed IvorySQL's parser.
void RenewLakeArguments();

}  // namespace ivy::duck
