// SPDX-License-Identifier: Apache-2.0
//
// Avro object container files, as far as Iceberg's manifests and manifest lists need them: every type, the codecs "null"
// and "deflate", schemas with Iceberg's field-id and element-id attributes. Our own because Apache Avro's C library loses
// those attributes.
//
// A file is read by the schema it was written with; callers pick fields by id, so that unknown ones are passed over and
// missing ones are absent. Reading treats the bytes as hostile: every length is checked, memory stays within a constant
// factor of the file's (decompressed) size, one datum at a time.
//
// Format: https://avro.apache.org/docs/1.11.1/specification/ and Iceberg's appendix A.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace ivy::iceberg::avro {

enum class Kind {
    kNull,
    kBoolean,
    kInt,
    kLong,
    kFloat,
    kDouble,
    kBytes,
    kString,
    kFixed,
    kEnum,
    kRecord,
    kArray,
    kMap,
    kUnion
};

struct Type;

struct Field {
    std::string name;
    std::optional<int> id;  // Iceberg's field-id
    const Type* type = nullptr;
};

// A node of a schema. Nodes point to each other (a named type may contain itself) and live as long as their Schema.
struct Type {
    Kind kind = Kind::kNull;
    std::string name;  // record, enum, fixed
    std::string logical_type;
    std::vector<Field> fields;          // record
    std::vector<const Type*> branches;  // union
    const Type* items = nullptr;        // array: its items; map: its values
    int64_t size = 0;                   // fixed
    std::vector<std::string> symbols;   // enum

    // The position of a record's field by Iceberg field id or, where the writer kept no ids, by name; -1 if there is none.
    int FieldIndex(int id, std::string_view name) const;
    // This type, or what is beside null in a union of null and one other type.
    const Type& NonNull() const;
};

class Schema {
  public:
    static Result<std::shared_ptr<const Schema>> Parse(std::string_view json);
    const Type& root() const { return *root_; }

  private:
    friend class SchemaParser;
    std::vector<std::unique_ptr<Type>> types_;
    const Type* root_ = nullptr;
};

// A datum. int, long and the index of an enum's symbol are int64_t, float and double are double, string, bytes and fixed
// are std::string; a record is the list of its fields, an array of its items, a map of (key, value) lists: the same shape
// that Iceberg's maps written as arrays of records have. A union is its chosen value.
struct Value {
    using List = std::vector<Value>;
    std::variant<std::monostate, bool, int64_t, double, std::string, List> data;

    Value() = default;
    Value(bool v) : data(v) {}                       // NOLINT: implicit, for building records
    Value(int64_t v) : data(v) {}                    // NOLINT
    Value(int v) : data(static_cast<int64_t>(v)) {}  // NOLINT
    Value(double v) : data(v) {}                     // NOLINT
    Value(std::string v) : data(std::move(v)) {}     // NOLINT
    Value(const char* v) : data(std::string(v)) {}   // NOLINT
    Value(List v) : data(std::move(v)) {}            // NOLINT
    template <typename T>
    Value(const std::optional<T>& v) {  // NOLINT
        if (v) *this = Value(*v);
    }

    bool IsNull() const { return data.index() == 0; }
    template <typename T>
    const T* Get() const {
        return std::get_if<T>(&data);
    }  // null if it is something else
    bool operator==(const Value&) const = default;
};

enum class Codec { kNull, kDeflate };

// Writes one container file into memory.
class FileWriter {
  public:
    // "metadata" becomes the header's key-value pairs beside avro.schema and avro.codec.
    static Result<FileWriter> Make(const std::string& schema_json, const std::map<std::string, std::string>& metadata,
                                   Codec codec = Codec::kDeflate);
    // An error if the datum is not of the schema; the file is then still good without it.
    Status Append(const Value& value);
    size_t size() const { return out_.size() + block_.size(); }  // bytes so far, the open block not compressed
    Result<Bytes> Finish();

  private:
    FileWriter() = default;
    Status FlushBlock();

    std::shared_ptr<const Schema> schema_;
    Codec codec_ = Codec::kNull;
    std::string sync_;
    Bytes out_, block_;
    int64_t block_count_ = 0;
};

// Reads one container file that the caller keeps alive.
class FileReader {
  public:
    static Result<FileReader> Open(const Bytes& file);
    const Type& root() const { return schema_->root(); }
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    // The next datum, or false at the end of the file. After an error, no more calls.
    Result<bool> Next(Value* value);

  private:
    FileReader() = default;
    Status NextBlock();

    std::shared_ptr<const Schema> schema_;
    std::map<std::string, std::string> metadata_;
    Codec codec_ = Codec::kNull;
    const uint8_t* at_ = nullptr;  // in the file, behind the open block
    const uint8_t* end_ = nullptr;
    std::string sync_;
    Bytes inflated_;  // the open block, if it was compressed
    const uint8_t* block_ = nullptr;
    const uint8_t* block_end_ = nullptr;
    int64_t block_left_ = 0;  // data still in the open block
    int64_t budget_ = 0;      // values that may still be made for the open block
};

}  // namespace ivy::iceberg::avro
