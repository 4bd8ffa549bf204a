// SPDX-License-Identifier: Apache-2.0
//
// Upper and lower case as the server's locales have it. A locale is named by a text: "c", "libc|version|locale" or
// "icu|version|locale"; as with collations, what the server found as version must be found here.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace ivy::engine {

// Safe to be used by several threads. Texts are valid UTF-8 without zero bytes.
class LetterCase {
  public:
    virtual ~LetterCase() = default;

    virtual std::string Lower(std::string_view text) const = 0;
    virtual std::string Upper(std::string_view text) const = 0;
    // The first letter of each word in upper case, the others in lower.
    virtual std::string Title(std::string_view text) const = 0;

    // Kept for the life of the process. Throws if the locale isn't here in that version.
    static const LetterCase& Get(std::string_view name);
};

}  // namespace ivy::engine
