// SPDX-License-Identifier: Apache-2.0
#include "iceberg/json.h"

#include <limits>

namespace ivy::iceberg {
namespace {

constexpr int kMaxDepth = 100;

Status WrongType(const char* key, const char* expected) {
    return Status::Corrupt(std::string("member \"") + key + "\" is not " + expected);
}

Status Missing(const char* key) { return Status::Corrupt(std::string("member \"") + key + "\" is missing"); }

const Json* Find(const Json& object, const char* key) {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
}

bool TooDeep(std::string_view text) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size(); i++) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > kMaxDepth) return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

template <typename T>
Result<T> Require(Result<std::optional<T>> optional, const char* key) {
    if (!optional.ok()) return optional.status();
    if (!optional->has_value()) return Missing(key);
    return **optional;
}

}  // namespace

Result<Json> ParseJson(std::string_view text, const std::string& what) {
    if (TooDeep(text)) return Status::Corrupt(what + " is nested too deeply");
    Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded()) return Status::Corrupt(what + " is not valid JSON");
    return value;
}

Result<std::string> DumpJson(const Json& value) {
    try {
        return value.dump();
    } catch (const Json::exception&) {
        return Status::Make(sqlstate::kInvalidParameter, "a string for Iceberg metadata is not valid UTF-8");
    }
}

Result<std::optional<int64_t>> OptionalInt(const Json& object, const char* key) {
    const Json* member = Find(object, key);
    if (member == nullptr) return std::optional<int64_t>();
    if (!member->is_number_integer()) return WrongType(key, "an integer");
    if (member->is_number_unsigned() &&
        member->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return WrongType(key, "a 64-bit integer");
    }
    return std::optional<int64_t>(member->get<int64_t>());
}

Result<std::optional<std::string>> OptionalString(const Json& object, const char* key) {
    const Json* member = Find(object, key);
    if (member == nullptr) return std::optional<std::string>();
    if (!member->is_string()) return WrongType(key, "a string");
    return std::optional<std::string>(member->get_ref<const std::string&>());
}

Result<std::optional<bool>> OptionalBool(const Json& object, const char* key) {
    const Json* member = Find(object, key);
    if (member == nullptr) return std::optional<bool>();
    if (!member->is_boolean()) return WrongType(key, "a boolean");
    return std::optional<bool>(member->get<bool>());
}

Result<int64_t> RequiredInt(const Json& object, const char* key) { return Require(OptionalInt(object, key), key); }

Result<int> RequiredInt32(const Json& object, const char* key) {
    IVY_ASSIGN_OR_RETURN(const int64_t wide, RequiredInt(object, key));
    if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max()) {
        return WrongType(key, "a 32-bit integer");
    }
    return static_cast<int>(wide);
}

Result<std::string> RequiredString(const Json& object, const char* key) {
    return Require(OptionalString(object, key), key);
}

Result<const Json*> OptionalArray(const Json& object, const char* key) {
    const Json* member = Find(object, key);
    if (member != nullptr && !member->is_array()) return WrongType(key, "an array");
    return member;
}

Result<const Json*> OptionalObject(const Json& object, const char* key) {
    const Json* member = Find(object, key);
    if (member != nullptr && !member->is_object()) return WrongType(key, "an object");
    return member;
}

Result<std::map<std::string, std::string>> StringMap(const Json& object, const char* key) {
    IVY_ASSIGN_OR_RETURN(const Json* member, OptionalObject(object, key));
    std::map<std::string, std::string> map;
    if (member == nullptr) return map;
    for (const auto& [name, value] : member->items()) {
        if (value.is_string())
            map[name] = value.get_ref<const std::string&>();
        else if (value.is_number() || value.is_boolean())
            map[name] = value.dump();
        else if (!value.is_null())
            return WrongType(key, "a map of strings");
    }
    return map;
}

}  // namespace ivy::iceberg
