// SPDX-License-Identifier: Apache-2.0
// Collation: see the header.
#include "engine/collation.h"

#include <gnu/libc-version.h>
#include <locale.h>
#include <string.h>
#include <unicode/ucol.h>
#include <unicode/ustring.h>

#include <duckdb.hpp>

#include <map>
#include <mutex>
#include <vector>

#include "engine/error_map.h"

namespace ivy::engine {
namespace {

[[noreturn]] void Unavailable(const std::string& why) { ThrowSqlError(sqlstate::kFeatureNotSupported, why); }

class IcuCollation final : public Collation {
  public:
    IcuCollation(const std::string& locale, std::string_view version) {
        UErrorCode status = U_ZERO_ERROR;
        collator_ = ucol_open(locale.c_str(), &status);
        if (U_FAILURE(status)) Unavailable("ICU has no locale \"" + locale + "\"");
        UVersionInfo info;
        char text[U_MAX_VERSION_STRING_LENGTH];
        ucol_getVersion(collator_, info);
        u_versionToString(info, text);
        if (version != text) Unavailable("locale \"" + locale + "\" has another version in the server's ICU");
    }
    ~IcuCollation() override { ucol_close(collator_); }

    std::string Key(std::string_view text) const override {
        thread_local std::vector<UChar> wide;
        wide.resize(text.size() + 1);
        UErrorCode status = U_ZERO_ERROR;
        int32_t length = 0;
        u_strFromUTF8(wide.data(), static_cast<int32_t>(wide.size()), &length, text.data(),
                      static_cast<int32_t>(text.size()), &status);
        if (U_FAILURE(status)) Unavailable("text is not valid UTF-8");
        std::string key(text.size() * 3 + 16, '\0');
        int32_t size = ucol_getSortKey(collator_, wide.data(), length, reinterpret_cast<uint8_t*>(key.data()),
                                       static_cast<int32_t>(key.size()));
        if (static_cast<size_t>(size) > key.size()) {
            key.resize(static_cast<size_t>(size));
            size = ucol_getSortKey(collator_, wide.data(), length, reinterpret_cast<uint8_t*>(key.data()), size);
        }
        // The key ends with a zero byte, and has none inside.
        key.resize(static_cast<size_t>(size));
        key += text;
        return key;
    }

  protected:
    int CompareByLocale(std::string_view a, std::string_view b) const override {
        UErrorCode status = U_ZERO_ERROR;
        const UCollationResult result = ucol_strcollUTF8(collator_, a.data(), static_cast<int32_t>(a.size()), b.data(),
                                                         static_cast<int32_t>(b.size()), &status);
        if (U_FAILURE(status)) Unavailable("ICU could not compare texts");
        return result;
    }

  private:
    UCollator* collator_ = nullptr;
};

class LibcCollation final : public Collation {
  public:
    LibcCollation(const std::string& locale, std::string_view version)
        : locale_(newlocale(LC_COLLATE_MASK | LC_CTYPE_MASK, locale.c_str(), static_cast<locale_t>(nullptr))) {
        if (locale_ == nullptr) Unavailable("the C library has no locale \"" + locale + "\"");
        if (version != gnu_get_libc_version()) Unavailable("the server has another version of the C library");
    }
    ~LibcCollation() override { freelocale(locale_); }

    std::string Key(std::string_view) const override { Unavailable("no sort keys for locales of the C library"); }

  protected:
    int CompareByLocale(std::string_view a, std::string_view b) const override {
        thread_local std::string first;
        thread_local std::string second;
        first = a;
        second = b;
        return strcoll_l(first.c_str(), second.c_str(), locale_);
    }

  private:
    locale_t locale_;
};

std::unique_ptr<Collation> Open(std::string_view name) {
    const size_t first = name.find('|');
    const size_t second = first == name.npos ? name.npos : name.find('|', first + 1);
    if (second == name.npos) Unavailable("unknown collation");
    const std::string_view provider = name.substr(0, first);
    const std::string_view version = name.substr(first + 1, second - first - 1);
    const std::string locale(name.substr(second + 1));
    if (provider == "icu") return std::make_unique<IcuCollation>(locale, version);
    if (provider == "libc") return std::make_unique<LibcCollation>(locale, version);
    Unavailable("unknown collation");
}

}  // namespace

int Collation::Compare(std::string_view a, std::string_view b) const {
    if (a == b) return 0;
    const int result = CompareByLocale(a, b);
    return result != 0 ? result : a.compare(b);
}

const Collation& Collation::Get(std::string_view name) {
    static std::mutex mutex;
    static std::map<std::string, std::unique_ptr<Collation>, std::less<>> known;
    const std::lock_guard lock(mutex);
    const auto found = known.find(name);
    if (found != known.end()) return *found->second;
    return *known.emplace(std::string(name), Open(name)).first->second;
}

}  // namespace ivy::engine
