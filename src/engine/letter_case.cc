// SPDX-License-Identifier: Apache-2.0
// LetterCase: see the header.
#include "engine/letter_case.h"

#include <gnu/libc-version.h>
#include <locale.h>
#include <unicode/ucol.h>
#include <unicode/ustring.h>
#include <wctype.h>

#include <map>
#include <mutex>
#include <vector>

#include "engine/error_map.h"

namespace ivy::engine {
namespace {

[[noreturn]] void Unavailable(const std::string& why) { ThrowSqlError(sqlstate::kFeatureNotSupported, why); }

// Only ASCII has letters.
class AsciiCase final : public LetterCase {
  public:
    std::string Lower(std::string_view text) const override { return Map(text, ToLower); }
    std::string Upper(std::string_view text) const override { return Map(text, ToUpper); }
    std::string Title(std::string_view text) const override {
        std::string out(text);
        bool inside = false;
        for (char& c : out) {
            c = inside ? ToLower(c) : ToUpper(c);
            inside = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        }
        return out;
    }

  private:
    static char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
    static char ToUpper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
    static std::string Map(std::string_view text, char (*map)(char)) {
        std::string out(text);
        for (char& c : out) c = map(c);
        return out;
    }
};

// The C library maps one code point to one.
class LibcCase final : public LetterCase {
  public:
    LibcCase(const std::string& locale, std::string_view version)
        : locale_(newlocale(LC_CTYPE_MASK, locale.c_str(), static_cast<locale_t>(nullptr))) {
        if (locale_ == nullptr) Unavailable("the C library has no locale \"" + locale + "\"");
        if (version != gnu_get_libc_version()) Unavailable("the server has another version of the C library");
        for (wint_t c = 0; c < 128; c++) {
            lower_[c] = towlower_l(c, locale_);
            upper_[c] = towupper_l(c, locale_);
        }
    }
    ~LibcCase() override { freelocale(locale_); }

    std::string Lower(std::string_view text) const override {
        return Map(text, [this](wint_t c) { return c < 128 ? lower_[c] : towlower_l(c, locale_); });
    }
    std::string Upper(std::string_view text) const override {
        return Map(text, [this](wint_t c) { return c < 128 ? upper_[c] : towupper_l(c, locale_); });
    }
    std::string Title(std::string_view text) const override {
        bool inside = false;
        return Map(text, [this, &inside](wint_t c) {
            c = inside ? towlower_l(c, locale_) : towupper_l(c, locale_);
            inside = iswalnum_l(c, locale_) != 0;
            return c;
        });
    }

  private:
    template <typename Function>
    static std::string Map(std::string_view text, Function function) {
        std::string out;
        out.reserve(text.size());
        for (size_t at = 0; at < text.size();) {
            const auto byte = [&](size_t i) {
                return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
            };
            const unsigned first = byte(0);
            const size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
            wint_t code = size == 1 ? first : first & (0xffU >> (size + 1));
            for (size_t i = 1; i < size; i++) code = code << 6 | (byte(i) & 0x3f);
            Append(function(code), &out);
            at += size;
        }
        return out;
    }
    static void Append(wint_t code, std::string* out) {
        const auto tail = [code](int shift) { return static_cast<char>(0x80 | (code >> shift & 0x3f)); };
        if (code < 0x80) {
            *out += static_cast<char>(code);
        } else if (code < 0x800) {
            *out += {static_cast<char>(0xc0 | code >> 6), tail(0)};
        } else if (code < 0x10000) {
            *out += {static_cast<char>(0xe0 | code >> 12), tail(6), tail(0)};
        } else {
            *out += {static_cast<char>(0xf0 | code >> 18), tail(12), tail(6), tail(0)};
        }
    }

    locale_t locale_;
    wint_t lower_[128];  // most text is ASCII
    wint_t upper_[128];
};

// ICU maps texts, which may become longer.
class IcuCase final : public LetterCase {
  public:
    IcuCase(std::string locale, std::string_view version) : locale_(std::move(locale)) {
        UErrorCode status = U_ZERO_ERROR;
        UCollator* collator = ucol_open(locale_.c_str(), &status);
        if (U_FAILURE(status)) Unavailable("ICU has no locale \"" + locale_ + "\"");
        UVersionInfo info;
        char text[U_MAX_VERSION_STRING_LENGTH];
        ucol_getVersion(collator, info);
        u_versionToString(info, text);
        ucol_close(collator);
        if (version != text) Unavailable("locale \"" + locale_ + "\" has another version in the server's ICU");
    }

    std::string Lower(std::string_view text) const override {
        return Map(text, [this](UChar* to, int32_t room, const UChar* from, int32_t size, UErrorCode* status) {
            return u_strToLower(to, room, from, size, locale_.c_str(), status);
        });
    }
    std::string Upper(std::string_view text) const override {
        return Map(text, [this](UChar* to, int32_t room, const UChar* from, int32_t size, UErrorCode* status) {
            return u_strToUpper(to, room, from, size, locale_.c_str(), status);
        });
    }
    std::string Title(std::string_view text) const override {
        return Map(text, [this](UChar* to, int32_t room, const UChar* from, int32_t size, UErrorCode* status) {
            return u_strToTitle(to, room, from, size, nullptr, locale_.c_str(), status);
        });
    }

  private:
    template <typename Function>
    static std::string Map(std::string_view text, Function function) {
        std::vector<UChar> from(text.size() + 1);
        UErrorCode status = U_ZERO_ERROR;
        int32_t size = 0;
        u_strFromUTF8(from.data(), static_cast<int32_t>(from.size()), &size, text.data(),
                      static_cast<int32_t>(text.size()), &status);
        if (U_FAILURE(status)) Unavailable("text is not valid UTF-8");
        std::vector<UChar> to(static_cast<size_t>(size) + 16);
        int32_t length = function(to.data(), static_cast<int32_t>(to.size()), from.data(), size, &status);
        if (status == U_BUFFER_OVERFLOW_ERROR) {
            status = U_ZERO_ERROR;
            to.resize(static_cast<size_t>(length) + 1);
            length = function(to.data(), static_cast<int32_t>(to.size()), from.data(), size, &status);
        }
        std::string out(static_cast<size_t>(length) * 3, '\0');
        int32_t bytes = 0;
        if (U_SUCCESS(status)) {
            status = U_ZERO_ERROR;  // not a warning that there was no room for a zero
            u_strToUTF8(out.data(), static_cast<int32_t>(out.size()), &bytes, to.data(), length, &status);
        }
        if (U_FAILURE(status)) Unavailable("ICU could not convert the case of a text");
        out.resize(static_cast<size_t>(bytes));
        return out;
    }

    std::string locale_;
};

std::unique_ptr<LetterCase> Open(std::string_view name) {
    if (name == "c") return std::make_unique<AsciiCase>();
    const size_t first = name.find('|');
    const size_t second = first == name.npos ? name.npos : name.find('|', first + 1);
    if (second == name.npos) Unavailable("unknown locale");
    const std::string_view provider = name.substr(0, first);
    const std::string_view version = name.substr(first + 1, second - first - 1);
    std::string locale(name.substr(second + 1));
    if (provider == "icu") return std::make_unique<IcuCase>(std::move(locale), version);
    if (provider == "libc") return std::make_unique<LibcCase>(locale, version);
    Unavailable("unknown locale");
}

}  // namespace

const LetterCase& LetterCase::Get(std::string_view name) {
    static std::mutex mutex;
    static std::map<std::string, std::unique_ptr<LetterCase>, std::less<>> known;
    const std::lock_guard lock(mutex);
    const auto found = known.find(name);
    if (found != known.end()) return *found->second;
    return *known.emplace(std::string(name), Open(name)).first->second;
}

}  // namespace ivy::engine
