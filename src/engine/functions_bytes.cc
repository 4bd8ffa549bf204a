// SPDX-License-Identifier: Apache-2.0
//
// ivy_encode(bytes, format), ivy_decode(text, format): hex, base64 and escape. What is no valid text of a format is left to the
// server, which knows what to say. And letter case: ivy_lower, ivy_upper, ivy_initcap(text, locale).
#include "engine/error_map.h"
#include "engine/functions.h"
#include "engine/letter_case.h"
#include "engine/scalar_function.h"

namespace ivy::engine {
namespace {

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char kHex[] = "0123456789abcdef";
constexpr size_t kLine = 76;  // characters of base64

[[noreturn]] void Invalid(std::string_view format) {
    ThrowSqlError(sqlstate::kInvalidParameter, "invalid " + std::string(format) + " data");
}

std::string EncodeHex(std::string_view bytes) {
    std::string out;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        out += kHex[byte >> 4];
        out += kHex[byte & 15];
    }
    return out;
}

std::string EncodeBase64(std::string_view bytes) {
    std::string out;
    size_t line = 0;
    size_t at = 0;
    const auto byte = [&](size_t i) { return at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U; };
    for (; at < bytes.size(); at += 3) {
        const unsigned group = byte(0) << 16 | byte(1) << 8 | byte(2);
        const size_t rest = bytes.size() - at;
        out += kBase64[group >> 18];
        out += kBase64[group >> 12 & 63];
        out += rest > 1 ? kBase64[group >> 6 & 63] : '=';
        out += rest > 2 ? kBase64[group & 63] : '=';
        line += 4;
        // A line ends as soon as it is full, but not within the padding.
        if (line == kLine && rest > 2) {
            out += '\n';
            line = 0;
        }
    }
    return out;
}

std::string EncodeEscape(std::string_view bytes) {
    std::string out;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte == 0 || byte >= 128) {
            out += '\\';
            for (int shift = 6; shift >= 0; shift -= 3) out += static_cast<char>('0' + (byte >> shift & 7));
        } else {
            if (c == '\\') out += '\\';
            out += c;
        }
    }
    return out;
}

bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

int HexDigit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    Invalid("hexadecimal");
}

std::string DecodeHex(std::string_view text) {
    std::string out;
    for (size_t at = 0; at < text.size(); at++) {
        if (IsBlank(text[at])) continue;
        if (at + 1 == text.size()) Invalid("hexadecimal");
        out += static_cast<char>(HexDigit(text[at]) << 4 | HexDigit(text[at + 1]));
        at++;
    }
    return out;
}

std::string DecodeBase64(std::string_view text) {
    std::string symbols;
    for (const char c : text) {
        if (!IsBlank(c)) symbols += c;
    }
    if (symbols.size() % 4 != 0) Invalid("base64");
    std::string out;
    for (size_t at = 0; at < symbols.size(); at += 4) {
        unsigned group = 0;
        const size_t padding = at + 4 < symbols.size() || symbols[at + 3] != '=' ? 0 : symbols[at + 2] == '=' ? 2 : 1;
        for (size_t i = 0; i < 4; i++) {
            const size_t value = i >= 4 - padding ? 0 : std::string_view(kBase64).find(symbols[at + i]);
            if (value == std::string_view::npos) Invalid("base64");
            group = group << 6 | static_cast<unsigned>(value);
        }
        out += static_cast<char>(group >> 16);
        if (padding < 2) out += static_cast<char>(group >> 8);
        if (padding < 1) out += static_cast<char>(group);
    }
    return out;
}

std::string DecodeEscape(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        if (text[0] != '\\') {
            out += text[0];
            text.remove_prefix(1);
        } else if (text.starts_with("\\\\")) {
            out += '\\';
            text.remove_prefix(2);
        } else if (text.size() > 3 && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' && text[2] <= '7' &&
                   text[3] >= '0' && text[3] <= '7') {
            out += static_cast<char>((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
            text.remove_prefix(4);
        } else {
            Invalid("escape");
        }
    }
    return out;
}

// Which of the formats a constant names; the translator writes no other.
std::string Encode(std::string_view bytes, std::string_view format) {
    return format == "hex" ? EncodeHex(bytes) : format == "base64" ? EncodeBase64(bytes) : EncodeEscape(bytes);
}
std::string Decode(std::string_view text, std::string_view format) {
    return format == "hex" ? DecodeHex(text) : format == "base64" ? DecodeBase64(text) : DecodeEscape(text);
}

// The locale of a call is the same for all rows.
const LetterCase& Locale(std::string_view name) {
    thread_local std::string known;
    thread_local const LetterCase* locale = nullptr;
    if (locale == nullptr || known != name) {
        locale = &LetterCase::Get(name);
        known = name;
    }
    return *locale;
}

}  // namespace

void RegisterBytes(duckdb::ExtensionLoader& loader) {
    AddScalar(loader, "ivy_encode",
              [](BytesView value, std::string_view format) -> std::string { return Encode(value.bytes, format); });
    AddScalar(loader, "ivy_decode",
              [](std::string_view text, std::string_view format) -> Bytes { return {Decode(text, format)}; });
    AddScalar(loader, "ivy_lower",
              [](std::string_view text, std::string_view locale) -> std::string { return Locale(locale).Lower(text); });
    AddScalar(loader, "ivy_upper",
              [](std::string_view text, std::string_view locale) -> std::string { return Locale(locale).Upper(text); });
    AddScalar(loader, "ivy_initcap",
              [](std::string_view text, std::string_view locale) -> std::string { return Locale(locale).Title(text); });
}

}  // namespace ivy::engine
