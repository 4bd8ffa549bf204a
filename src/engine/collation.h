// SPDX-License-Identifier: Apache-2.0
//
// Collations as the server has them: of ICU, or of the C library. A collation is named by a text, "icu|version|locale" or
// "libc|version|locale"; what the server found as version must be what is found here, or the order might be another one.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace ivy::engine {

// Safe to be used by several threads. Texts are valid UTF-8 without zero bytes.
class Collation {
  public:
    virtual ~Collation() = default;

    // Less than, equal to or greater than 0. Texts that the locale finds equal are ordered by bytes.
    int Compare(std::string_view a, std::string_view b) const;
    // Bytes whose order is that of texts. The C library's own keys aren't sure to agree with its comparison: an error.
    virtual std::string Key(std::string_view text) const = 0;

    // Kept for the life of the process. Throws if the locale isn't here in that version.
    static const Collation& Get(std::string_view name);

  protected:
    virtual int CompareByLocale(std::string_view a, std::string_view b) const = 0;
};

}  // namespace ivy::engine
