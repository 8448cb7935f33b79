// The table of result columns: for each its name, type, value in the row of a diverged seed, and documentation.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace fastpolysem::training {

// The columns common to all families. Each family adds its own.
struct Outcome {
    std::int64_t steps_taken = 0;
    bool diverged = false;
    double seconds = 0;
};

template <class Row>
struct Column {
    // Access to the value in a row; V is std::int64_t, double or bool.
    template <class V>
    using Access = std::function<V&(Row&)>;
    using AnyAccess = std::variant<Access<std::int64_t>, Access<double>, Access<bool>>;

    std::string name;
    AnyAccess value;
    std::optional<double> diverged;  // none: the value is meaningful even if the seed diverged
    std::string doc;

    template <class V, class Owner>
    Column(std::string called, V Owner::* member, std::optional<double> if_diverged, std::string what)
        : Column(std::move(called), Access<V>([member](Row& row) -> V& { return row.*member; }), if_diverged,
                 std::move(what)) {}
    template <class V>
    Column(std::string called, Access<V> access, std::optional<double> if_diverged, std::string what)
        : name(std::move(called)), value(std::move(access)), diverged(if_diverged), doc(std::move(what)) {}
};

// Sets the documented values in the row of a diverged seed.
template <class Row>
void mark_diverged(const std::vector<Column<Row>>& columns, Row& row) {
    for (const Column<Row>& column : columns) {
        if (!column.diverged) continue;
        std::visit(
            [&](const auto& access) {
                auto& value = access(row);
                value = std::decay_t<decltype(value)>(*column.diverged);
            },
            column.value);
    }
}

}  // namespace fastpolysem::training
