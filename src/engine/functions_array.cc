// SPDX-License-Identifier: Apache-2.0
//
// Arrays in their text form, of element types whose values are equal just when their texts are (or that are only taken out):
//
//   ivy_array_elements(array)           VARCHAR[] of all elements, whatever the dimensions
//   ivy_array_element(array, index)     the element's text; NULL if there is none or the array has several dimensions
//   ivy_array_length, _lower, _upper(array, dimension), ivy_array_ndims, ivy_array_cardinality(array)
//   ivy_array_any(array, element)       element = ANY (array)
//   ivy_array_contains, ivy_array_overlaps(a, b)    @> and &&
//   ivy_array_join(array, separator), ivy_array_join_nulls(array, separator, null)    array_to_string
//   ivy_string_split(text, separator)   VARCHAR[]: string_to_array's elements
#include "engine/error_map.h"
#include "engine/functions.h"
#include "engine/scalar_function.h"

#include <duckdb/common/vector/list_vector.hpp>

#include <algorithm>
#include <charconv>
#include <vector>

namespace ivy::engine {
namespace {

using duckdb::LogicalType;
using duckdb::string_t;

using Element = std::optional<std::string>;

[[noreturn]] void Damaged() { ThrowSqlError(sqlstate::kDataException, "text is not that of an array"); }

// An array as array_out prints it: "{1,NULL,\"a b\"}", with "[low:high]..." and "=" before it if it doesn't begin at 1.
class Array {
  public:
    explicit Array(std::string_view text) : rest_(text) {
        while (Take('[')) {
            lower_.push_back(TakeNumber());
            if (!Take(':')) Damaged();
            TakeNumber();
            if (!Take(']')) Damaged();
        }
        if (!lower_.empty() && !Take('=')) Damaged();
        ParseLevel(0);
        if (!rest_.empty()) Damaged();
        if (elements.empty()) lengths_.clear();
        lower_.resize(lengths_.size(), 1);
    }

    int Dimensions() const { return static_cast<int>(lengths_.size()); }
    bool Has(int dimension) const { return dimension >= 1 && dimension <= Dimensions(); }
    int32_t Length(int dimension) const { return lengths_[static_cast<size_t>(dimension) - 1]; }
    int32_t Lower(int dimension) const { return lower_[static_cast<size_t>(dimension) - 1]; }

    std::vector<Element> elements;

  private:
    bool Take(char c) {
        if (rest_.empty() || rest_[0] != c) return false;
        rest_.remove_prefix(1);
        return true;
    }
    int32_t TakeNumber() {
        int32_t value = 0;
        const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
        if (error != std::errc()) Damaged();
        rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
        return value;
    }
    void ParseLevel(size_t depth) {
        if (!Take('{')) Damaged();
        if (lengths_.size() <= depth) lengths_.push_back(0);
        int32_t count = 0;
        if (!Take('}')) {
            do {
                if (!rest_.empty() && rest_[0] == '{') {
                    ParseLevel(depth + 1);
                } else {
                    TakeElement();
                }
                count++;
            } while (Take(','));
            if (!Take('}')) Damaged();
        }
        lengths_[depth] = count;
    }
    void TakeElement() {
        std::string text;
        if (Take('"')) {
            while (!Take('"')) {
                Take('\\');
                if (rest_.empty()) Damaged();
                text += rest_[0];
                rest_.remove_prefix(1);
            }
            elements.emplace_back(std::move(text));
            return;
        }
        const size_t size = std::min(rest_.find_first_of(",}"), rest_.size());
        text = rest_.substr(0, size);
        rest_.remove_prefix(size);
        if (text == "NULL") {
            elements.emplace_back();
        } else {
            elements.emplace_back(std::move(text));
        }
    }

    std::string_view rest_;
    std::vector<int32_t> lengths_;
    std::vector<int32_t> lower_;
};

bool Holds(const std::vector<Element>& elements, std::string_view wanted) {
    return std::any_of(elements.begin(), elements.end(), [wanted](const Element& e) { return e && *e == wanted; });
}

bool Contains(const Array& all, const Array& some) {
    return std::all_of(some.elements.begin(), some.elements.end(),
                       [&all](const Element& e) { return e && Holds(all.elements, *e); });
}

std::string Joined(const Array& array, std::string_view separator, const std::string_view* null) {
    std::string out;
    bool first = true;
    for (const Element& element : array.elements) {
        if (!element && null == nullptr) continue;
        if (!first) out += separator;
        first = false;
        out += element ? std::string_view(*element) : *null;
    }
    return out;
}

std::vector<Element> Split(std::string_view text, std::string_view separator) {
    std::vector<Element> parts;
    if (text.empty()) return parts;
    if (separator.empty()) return {Element(std::string(text))};
    for (;;) {
        const size_t at = text.find(separator);
        parts.emplace_back(std::string(text.substr(0, at)));
        if (at == text.npos) return parts;
        text.remove_prefix(at + separator.size());
    }
}

// Rows of texts to rows of lists. "split" gives a row's elements from the texts of its arguments.
template <size_t kArguments, typename Function>
void ToLists(duckdb::DataChunk& args, duckdb::Vector& result, Function split) {
    duckdb::UnifiedVectorFormat formats[kArguments];
    const string_t* texts[kArguments];
    for (size_t i = 0; i < kArguments; i++) {
        args.data[i].ToUnifiedFormat(formats[i]);
        texts[i] = duckdb::UnifiedVectorFormat::GetData<string_t>(formats[i]);
    }
    result.SetVectorType(duckdb::VectorType::FLAT_VECTOR);
    auto* lists = duckdb::FlatVector::GetDataMutable<duckdb::list_entry_t>(result);
    std::vector<Element> elements;
    for (duckdb::idx_t row = 0; row < args.size(); row++) {
        std::string_view views[kArguments];
        bool valid = true;
        for (size_t i = 0; i < kArguments; i++) {
            const auto index = formats[i].sel->get_index(row);
            valid = valid && formats[i].validity.RowIsValid(index);
            if (valid) views[i] = {texts[i][index].GetData(), texts[i][index].GetSize()};
        }
        lists[row] = {elements.size(), 0};
        if (!valid) {
            duckdb::FlatVector::SetNull(result, row, true);
            continue;
        }
        std::vector<Element> parts = split(views);
        lists[row].length = parts.size();
        std::move(parts.begin(), parts.end(), std::back_inserter(elements));
    }
    duckdb::ListVector::Reserve(result, elements.size());
    duckdb::ListVector::SetListSize(result, elements.size());
    duckdb::Vector& child = duckdb::ListVector::GetChildMutable(result);
    auto* out = duckdb::FlatVector::GetDataMutable<string_t>(child);
    for (size_t i = 0; i < elements.size(); i++) {
        if (elements[i]) {
            out[i] = duckdb::StringVector::AddString(child, *elements[i]);
        } else {
            duckdb::FlatVector::SetNull(child, i, true);
        }
    }
}

}  // namespace

void RegisterArrays(duckdb::ExtensionLoader& loader) {
    const LogicalType text = LogicalType::VARCHAR;
    const auto add = [&](const char* name, duckdb::vector<LogicalType> arguments, duckdb::scalar_function_t execute) {
        duckdb::ScalarFunction function(duckdb::Identifier(name), std::move(arguments), LogicalType::LIST(text),
                                        std::move(execute));
        function.SetFallible();
        loader.RegisterFunction(std::move(function));
    };
    add("ivy_array_elements", {text}, [](duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
        ToLists<1>(args, result, [](const std::string_view* views) { return Array(views[0]).elements; });
    });
    add("ivy_string_split", {text, text},
        [](duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
            ToLists<2>(args, result, [](const std::string_view* views) { return Split(views[0], views[1]); });
        });
    AddScalar(loader, "ivy_array_element", [](std::string_view text, int32_t index) -> Element {
        const Array array(text);
        if (array.Dimensions() != 1) return {};
        const int64_t at = int64_t{index} - array.Lower(1);
        if (at < 0 || at >= array.Length(1)) return {};
        return array.elements[static_cast<size_t>(at)];
    });
    AddScalar(loader, "ivy_array_length", [](std::string_view text, int32_t dimension) -> std::optional<int32_t> {
        const Array array(text);
        if (!array.Has(dimension)) return {};
        return array.Length(dimension);
    });
    AddScalar(loader, "ivy_array_lower", [](std::string_view text, int32_t dimension) -> std::optional<int32_t> {
        const Array array(text);
        if (!array.Has(dimension)) return {};
        return array.Lower(dimension);
    });
    AddScalar(loader, "ivy_array_upper", [](std::string_view text, int32_t dimension) -> std::optional<int32_t> {
        const Array array(text);
        if (!array.Has(dimension)) return {};
        return array.Lower(dimension) + array.Length(dimension) - 1;
    });
    AddScalar(loader, "ivy_array_ndims", [](std::string_view text) -> std::optional<int32_t> {
        const Array array(text);
        if (array.Dimensions() == 0) return {};
        return array.Dimensions();
    });
    AddScalar(loader, "ivy_array_cardinality",
              [](std::string_view text) -> int32_t { return static_cast<int32_t>(Array(text).elements.size()); });
    AddScalar(loader, "ivy_array_any", [](std::string_view text, std::string_view wanted) -> std::optional<bool> {
        const Array array(text);
        if (Holds(array.elements, wanted)) return true;
        const bool nulls =
            std::any_of(array.elements.begin(), array.elements.end(), [](const Element& e) { return !e; });
        if (nulls) return {};
        return false;
    });
    AddScalar(loader, "ivy_array_contains",
              [](std::string_view a, std::string_view b) -> bool { return Contains(Array(a), Array(b)); });
    AddScalar(loader, "ivy_array_overlaps", [](std::string_view a, std::string_view b) -> bool {
        const Array all(a);
        const Array some(b);
        return std::any_of(some.elements.begin(), some.elements.end(),
                           [&all](const Element& e) { return e && Holds(all.elements, *e); });
    });
    AddScalar(loader, "ivy_array_join", [](std::string_view text, std::string_view separator) -> std::string {
        return Joined(Array(text), separator, nullptr);
    });
    AddScalar(loader, "ivy_array_join_nulls",
              [](std::string_view text, std::string_view separator, std::string_view null) -> std::string {
                  return Joined(Array(text), separator, &null);
              });
}

}  // namespace ivy::engine
