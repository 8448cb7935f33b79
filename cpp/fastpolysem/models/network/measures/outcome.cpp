#include "fastpolysem/models/network/measures/outcome.hpp"

namespace fastpolysem::network {

bool has_held_out(const Settings& s) { return s.in_float.held_out || s.in_double.held_out; }

std::vector<training::Column<Outcome>> columns(const Settings& s) {
    using Column = training::Column<Outcome>;
    constexpr auto nan = std::numeric_limits<double>::quiet_NaN();
    std::vector<Column> all = {{"loss", &Outcome::loss, nan,
                                "loss without l1, noise and dropout on the evaluation rows, after the last step"}};
    if (decides(s)) all.push_back({"accuracy", &Outcome::accuracy, nan, "share of right decisions on the same rows"});
    if (has_held_out(s)) all.push_back({"held_out_loss", &Outcome::held_out_loss, nan, "loss on the held-out rows"});
    if (has_held_out(s) && decides(s))
        all.push_back({"held_out_accuracy", &Outcome::held_out_accuracy, nan, "share of right decisions on them"});
    all.push_back({"dead", &Outcome::dead, -1, "hidden neurons whose activation is 0 (ReLU) or the same in all rows"});
    for (std::size_t l = 0; s.hidden() > 1 && l < s.hidden(); ++l) {
        const Column::Access<std::int64_t> access = [l](Outcome& row) -> std::int64_t& {
            row.dead_in_layer.resize(std::max(row.dead_in_layer.size(), l + 1));
            return row.dead_in_layer[l];
        };
        const std::string layer = std::to_string(l + 1);
        all.push_back({"dead_" + layer, access, -1, "those in hidden layer " + layer});
    }
    all.push_back({"largest_gradient", &Outcome::largest_gradient, nan, "largest gradient of what is trained then"});
    all.push_back({"steps_taken", &Outcome::steps_taken, std::nullopt, "updates"});
    all.push_back({"diverged", &Outcome::diverged, std::nullopt, "whether weights or loss ended up not finite"});
    all.push_back({"seconds", &Outcome::seconds, std::nullopt, "time spent on the seed"});
    return all;
}

Metric metric_of(const Settings& s, const std::string& name) {
    for (std::size_t l = 1; l <= s.hidden(); ++l)
        if (name == "dead_" + std::to_string(l)) return {Metric::dead, l};
    return {parse<Metric::Kind>("metrics", name)};
}

}  // namespace fastpolysem::network
