// SPDX-License-Identifier: Apache-2.0
#include "lake/column.h"

#include <algorithm>

namespace ivy::lake {

bool HasFloatingPoint(const Column& column) {
    return column.kind == Kind::kFloat || column.kind == Kind::kDouble ||
           std::any_of(column.children.begin(), column.children.end(), HasFloatingPoint);
}

bool HasInnerDefault(const Column& column) {
    return std::any_of(column.children.begin(), column.children.end(),
                       [](const Column& child) { return child.initial_default || HasInnerDefault(child); });
}

}  // namespace ivy::lake
