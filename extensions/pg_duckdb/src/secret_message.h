// SPDX-License-Identifier: Apache-2.0
//
// A secret of the catalog as the engine gets it.
#pragma once

#include "api.h"
#include "protocol/messages.h"

namespace ivy {

// May throw std::bad_alloc: call inside pg::Guard.
inline std::vector<Secret> SecretMessages(const List* secrets) {
    std::vector<Secret> messages;
    for (int i = 0; i < list_length(secrets); i++) {
        const auto* from = static_cast<const LakeSecret*>(list_nth(secrets, i));
        Secret& secret = messages.emplace_back();
        secret.name = from->name;
        secret.type = from->type;
        for (int j = 0; j < list_length(from->scope); j++)
            secret.scope.emplace_back(static_cast<const char*>(list_nth(from->scope, j)));
        for (int j = 0; j + 1 < list_length(from->options); j += 2) {
            secret.options.emplace_back(static_cast<const char*>(list_nth(from->options, j)),
                                        static_cast<const char*>(list_nth(from->options, j + 1)));
        }
    }
    return messages;
}

}  // namespace ivy
