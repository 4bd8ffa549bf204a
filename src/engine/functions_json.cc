// SPDX-License-Identifier: Apache-2.0
//
// jsonb in its text form: ivy_jsonb_*. The server prints jsonb in one way only (no duplicate keys, one space after a colon and
// a comma), so the text of a value inside is a part of the text of the whole.
#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "engine/error_map.h"
#include "engine/functions.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;
using duckdb::string_t;

std::string_view View(const string_t& text) { return {text.GetData(), text.GetSize()}; }

[[noreturn]] void Damaged() { ThrowSqlError(sqlstate::kDataException, "text is not that of a jsonb value"); }

// A place in the text of a value.
class Cursor {
  public:
    explicit Cursor(std::string_view text) : text_(text) {}

    char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool Take(char c) {
        if (Peek() != c) return false;
        at_++;
        return true;
    }
    void Expect(std::string_view part) {
        if (text_.substr(at_, part.size()) != part) Damaged();
        at_ += part.size();
    }
    // The text of the value here, which is passed over.
    std::string_view TakeValue() {
        const size_t begin = at_;
        int depth = 0;
        do {
            switch (Peek()) {
                case '\0': Damaged();
                case '"': PassString(); break;
                case '{':
                case '[':
                    depth++;
                    at_++;
                    break;
                case '}':
                case ']':
                    depth--;
                    at_++;
                    break;
                default: PassPlain(depth > 0); break;
            }
        } while (depth > 0);
        return text_.substr(begin, at_ - begin);
    }

  private:
    void PassString() {
        for (at_++; Peek() != '"'; at_++) {
            if (Peek() == '\\') at_++;
            if (at_ >= text_.size()) Damaged();
        }
        at_++;
    }
    // Numbers, words, and inside of others also what is between values.
    void PassPlain(bool inside) {
        const size_t end = text_.find_first_of(inside ? "\"{}[]" : ",}]", at_);
        at_ = end == text_.npos ? text_.size() : end;
    }

    std::string_view text_;
    size_t at_ = 0;
};

void AppendCodePoint(uint32_t code, std::string* out) {
    if (code < 0x80) {
        *out += static_cast<char>(code);
    } else if (code < 0x800) {
        *out += {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
    } else {
        *out += {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3f)),
                 static_cast<char>(0x80 | (code & 0x3f))};
    }
}

// What a JSON string means.
std::string Unescape(std::string_view literal) {
    std::string out;
    literal = literal.substr(1, literal.size() - 2);
    for (size_t i = 0; i < literal.size(); i++) {
        if (literal[i] != '\\') {
            out += literal[i];
            continue;
        }
        if (++i >= literal.size()) Damaged();
        switch (literal[i]) {
            case 'b': out += '\b'; break;
            case 'f': out += '\f'; break;
            case 'n': out += '\n'; break;
            case 'r': out += '\r'; break;
            case 't': out += '\t'; break;
            case 'u': {
                uint32_t code = 0;
                const std::string_view digits = literal.substr(i + 1, 4);
                if (digits.size() < 4 ||
                    std::from_chars(digits.data(), digits.data() + 4, code, 16).ptr != digits.data() + 4 ||
                    (code >= 0xd800 && code <= 0xdfff)) {
                    Damaged();
                }
                AppendCodePoint(code, &out);
                i += 4;
                break;
            }
            default: out += literal[i]; break;
        }
    }
    return out;
}

using Found = std::optional<std::string_view>;

Found Field(std::string_view json, std::string_view key) {
    Cursor cursor(json);
    if (!cursor.Take('{') || cursor.Take('}')) return {};
    do {
        const std::string_view name = cursor.TakeValue();
        if (name.size() < 2) Damaged();
        cursor.Expect(": ");
        const std::string_view value = cursor.TakeValue();
        const bool plain = name.find('\\') == name.npos;
        if (plain ? name.substr(1, name.size() - 2) == key : Unescape(name) == key) return value;
        if (cursor.Take('}')) return {};
        cursor.Expect(", ");
    } while (true);
}

// Calls "each" for the elements of an array until it returns false. False if it isn't an array.
template <typename Each>
bool ForElements(std::string_view json, Each each) {
    Cursor cursor(json);
    if (!cursor.Take('[')) return false;
    if (cursor.Take(']')) return true;
    while (each(cursor.TakeValue())) {
        if (cursor.Take(']')) return true;
        cursor.Expect(", ");
    }
    return true;
}

int64_t Length(std::string_view json) {
    int64_t count = 0;
    const bool array = ForElements(json, [&](std::string_view) { return ++count > 0; });
    return array ? count : -1;
}

Found Element(std::string_view json, int64_t index) {
    if (index < 0) index += std::max<int64_t>(Length(json), 0);
    Found found;
    if (index < 0) return found;
    ForElements(json, [&](std::string_view value) {
        if (index-- > 0) return true;
        found = value;
        return false;
    });
    return found;
}

// A step of a path: a key, or for arrays the number of an element.
Found Step(std::string_view json, std::string_view step) {
    if (json.starts_with('{')) return Field(json, step);
    int32_t index = 0;
    const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), index);
    if (step.empty() || error != std::errc() || end != step.data() + step.size()) {
        // What else the server reads as a number is left to it.
        if (json.starts_with('[') && step.find_first_of("0123456789") != step.npos) Damaged();
        return {};
    }
    return Element(json, index);
}

bool Exists(std::string_view json, std::string_view key) {
    if (json.starts_with('{')) return Field(json, key).has_value();
    if (json.starts_with('"')) return Unescape(json) == key;
    bool found = false;
    ForElements(json, [&](std::string_view value) {
        found = value.starts_with('"') && Unescape(value) == key;
        return !found;
    });
    return found;
}

std::string_view TypeOf(std::string_view json) {
    switch (json.empty() ? '\0' : json[0]) {
        case '{': return "object";
        case '[': return "array";
        case '"': return "string";
        case 't':
        case 'f': return "boolean";
        case 'n': return "null";
        default: return "number";
    }
}

using Output = duckdb::optional<string_t>;

Output Json(duckdb::Vector& result, const Found& found) {
    if (!found) return {};
    return duckdb::StringVector::AddString(result, found->data(), found->size());
}

// ->> gives strings without quotes, and NULL for null.
Output Text(duckdb::Vector& result, const Found& found) {
    if (!found || *found == "null") return {};
    if (!found->starts_with('"')) return Json(result, found);
    return duckdb::StringVector::AddString(result, Unescape(*found));
}

using Args = duckdb::DataChunk&;
using State = duckdb::ExpressionState&;
using Result = duckdb::Vector&;

// Functions of (json, key or index) by how they find and what they give. A missing value is NULL, so rows are written one by
// one.
template <typename Key, typename Find, typename Give>
void Lookup(Args args, Result result, Find find, Give give) {
    duckdb::UnifiedVectorFormat jsons;
    duckdb::UnifiedVectorFormat keys;
    args.data[0].ToUnifiedFormat(jsons);
    args.data[1].ToUnifiedFormat(keys);
    const auto* texts = duckdb::UnifiedVectorFormat::GetData<string_t>(jsons);
    const auto* values = duckdb::UnifiedVectorFormat::GetData<Key>(keys);
    result.SetVectorType(duckdb::VectorType::FLAT_VECTOR);
    auto* out = duckdb::FlatVector::GetDataMutable<string_t>(result);
    for (duckdb::idx_t row = 0; row < args.size(); row++) {
        const auto i = jsons.sel->get_index(row);
        const auto j = keys.sel->get_index(row);
        Output value;
        if (jsons.validity.RowIsValid(i) && keys.validity.RowIsValid(j))
            value = give(result, find(View(texts[i]), values[j]));
        if (value) {
            out[row] = *value;
        } else {
            duckdb::FlatVector::SetNull(result, row, true);
        }
    }
}

Found ByKey(std::string_view json, const string_t& key) { return Field(json, View(key)); }
// To -> a scalar is an array of itself.
Found ByIndex(std::string_view json, int32_t index) {
    const bool scalar = !json.starts_with('[') && !json.starts_with('{');
    if (scalar) return index == 0 || index == -1 ? Found(json) : Found();
    return Element(json, index);
}
Found ByStep(std::string_view json, const string_t& step) { return Step(json, View(step)); }

}  // namespace

void RegisterJson(duckdb::ExtensionLoader& loader) {
    const LogicalType text = LogicalType::VARCHAR;
    const auto add = [&](const char* name, duckdb::vector<LogicalType> arguments, const LogicalType& type,
                         duckdb::scalar_function_t execute) {
        duckdb::ScalarFunction function(duckdb::Identifier(name), std::move(arguments), type, std::move(execute));
        function.SetFallible();
        loader.RegisterFunction(std::move(function));
    };
    add("ivy_jsonb_field", {text, text}, text,
        [](Args args, State, Result result) { Lookup<string_t>(args, result, ByKey, Json); });
    add("ivy_jsonb_field_text", {text, text}, text,
        [](Args args, State, Result result) { Lookup<string_t>(args, result, ByKey, Text); });
    add("ivy_jsonb_element", {text, LogicalType::INTEGER}, text,
        [](Args args, State, Result result) { Lookup<int32_t>(args, result, ByIndex, Json); });
    add("ivy_jsonb_element_text", {text, LogicalType::INTEGER}, text,
        [](Args args, State, Result result) { Lookup<int32_t>(args, result, ByIndex, Text); });
    add("ivy_jsonb_step", {text, text}, text,
        [](Args args, State, Result result) { Lookup<string_t>(args, result, ByStep, Json); });
    add("ivy_jsonb_step_text", {text, text}, text,
        [](Args args, State, Result result) { Lookup<string_t>(args, result, ByStep, Text); });
    add("ivy_jsonb_exists", {text, text}, LogicalType::BOOLEAN, [](Args args, State, Result result) {
        duckdb::BinaryExecutor::Execute<string_t, string_t, bool>(
            args.data[0], args.data[1], result, args.size(),
            [](string_t json, string_t key) { return Exists(View(json), View(key)); });
    });
    add("ivy_jsonb_typeof", {text}, text, [](Args args, State, Result result) {
        duckdb::UnaryExecutor::Execute<string_t, string_t>(args.data[0], result, args.size(), [&](string_t json) {
            const std::string_view type = TypeOf(View(json));
            return duckdb::StringVector::AddString(result, type.data(), type.size());
        });
    });
    add("ivy_jsonb_array_length", {text}, LogicalType::INTEGER, [](Args args, State, Result result) {
        duckdb::UnaryExecutor::Execute<string_t, int32_t>(args.data[0], result, args.size(), [](string_t json) {
            const int64_t length = Length(View(json));
            if (length < 0) ThrowSqlError(sqlstate::kInvalidParameter, "cannot get array length of a non-array");
            return static_cast<int32_t>(length);
        });
    });
}

}  // namespace ivy::engine
