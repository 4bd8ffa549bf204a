// SPDX-License-Identifier: Apache-2.0
// ExpandSql: a scanner that knows just enough of SQL's lexical rules to see what is quoted.
#include "engine/sql_expand.h"

#include <cctype>
#include <string_view>

namespace ivy::engine {
namespace {

bool IsWordByte(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80); }

class Scanner {
  public:
    explicit Scanner(std::string_view sql) : sql_(sql) {}

    bool AtEnd() const { return at_ >= sql_.size(); }
    bool StartsWith(std::string_view prefix) const { return sql_.substr(at_, prefix.size()) == prefix; }
    size_t position() const { return at_; }
    void Advance(size_t count) { at_ += count; }

    // Moves past one literal, quoted identifier, comment, word, or other byte.
    void SkipToken() {
        const char c = sql_[at_];
        if (c == '\'' || c == '"') {
            SkipQuoted(c, false);
        } else if (StartsWith("--")) {
            SkipPast("\n", at_ + 2);
        } else if (StartsWith("/*")) {
            SkipComment();
        } else if (c == '$') {
            SkipDollar();
        } else if (IsWordByte(c)) {
            const bool is_escape = (c == 'e' || c == 'E') && at_ + 1 < sql_.size() && sql_[at_ + 1] == '\'';
            if (is_escape) {
                at_++;
                SkipQuoted('\'', true);
            } else {
                while (!AtEnd() && (IsWordByte(sql_[at_]) || sql_[at_] == '$')) at_++;
            }
        } else {
            at_++;
        }
    }

  private:
    // A doubled quote ends one literal and starts the next: both are skipped, to the same effect.
    void SkipQuoted(char quote, bool backslashes) {
        at_++;
        while (!AtEnd() && sql_[at_] != quote) at_ += backslashes && sql_[at_] == '\\' ? 2 : 1;
        at_ = std::min(at_ + 1, sql_.size());
    }

    void SkipPast(std::string_view end, size_t from) {
        const size_t found = sql_.find(end, from);
        at_ = found == std::string_view::npos ? sql_.size() : found + end.size();
    }

    void SkipComment() {
        int depth = 0;
        do {
            if (StartsWith("/*")) {
                depth++;
                at_ += 2;
            } else if (StartsWith("*/")) {
                depth--;
                at_ += 2;
            } else {
                at_++;
            }
        } while (depth > 0 && !AtEnd());
    }

    // $tag$ ... $tag$, or a lone $ as in the parameter $1.
    void SkipDollar() {
        size_t end = at_ + 1;
        while (end < sql_.size() && IsWordByte(sql_[end])) end++;
        const bool is_parameter = end > at_ + 1 && std::isdigit(static_cast<unsigned char>(sql_[at_ + 1]));
        if (end >= sql_.size() || sql_[end] != '$' || is_parameter) {
            at_ = end;
            return;
        }
        SkipPast(sql_.substr(at_, end - at_ + 1), end + 1);
    }

    std::string_view sql_;
    size_t at_ = 0;
};

}  // namespace

Result<std::string> ExpandSql(const std::string& sql, size_t mirrors, size_t row_sources, const PlaceholderText& text) {
    std::string out;
    Scanner scanner(sql);
    size_t copied = 0;
    while (!scanner.AtEnd()) {
        const bool is_mirror = scanner.StartsWith("{mirror:");
        if (!is_mirror && !scanner.StartsWith("{rows:")) {
            scanner.SkipToken();
            continue;
        }
        const size_t begin = scanner.position();
        const size_t digits = begin + (is_mirror ? 8 : 6);
        size_t end = digits;
        size_t index = 0;
        while (end < sql.size() && end < digits + 9 && std::isdigit(static_cast<unsigned char>(sql[end]))) {
            index = index * 10 + static_cast<size_t>(sql[end++] - '0');
        }
        const bool complete = end > digits && end < sql.size() && sql[end] == '}';
        if (!complete || index >= (is_mirror ? mirrors : row_sources)) {
            return Status::Make(sqlstate::kProtocolViolation, "query has a damaged placeholder at byte " +
                                                                  std::to_string(begin) + ": \"" +
                                                                  sql.substr(begin, end - begin + 1) + "\"");
        }
        out.append(sql, copied, begin - copied);
        out += text(is_mirror ? Placeholder::kMirror : Placeholder::kRows, index);
        scanner.Advance(end + 1 - begin);
        copied = end + 1;
    }
    out.append(sql, copied, std::string::npos);
    return out;
}

}  // namespace ivy::engine
