#include "fastpolysem/models/network/measures/outcome.hpp"

namespace fastpolysem::network {

bool has_held_out(const Settings& s) { return s.in_float.held_out || s.in_double.held_out; }

namespace {

using Column = training::Column<Outcome>;

// A column for all hidden layers together and, if there are several, one for each.
template <class V>
void add_of_neurons(const Settings& s, std::vector<Column>& all, const std::string& name, V Neurons::* member,
                    const std::string& doc) {
    const double diverged = std::is_same_v<V, double> ? nan : -1;
    using Access = Column::Access<V>;
    all.push_back({name, Access([member](Outcome& row) -> V& { return row.all.*member; }), diverged, doc});
    for (std::size_t l = 0; s.hidden() > 1 && l < s.hidden(); ++l) {
        const Access access = [l, member](Outcome& row) -> V& {
            row.layers.resize(std::max(row.layers.size(), l + 1));
            return row.layers[l].*member;
        };
        const std::string layer = std::to_string(l + 1);
        all.push_back({name + "_" + layer, access, diverged, "that of hidden layer " + layer});
    }
}

}  // namespace

std::vector<training::Column<Outcome>> columns(const Settings& s) {
    std::vector<Column> all = {{"loss", &Outcome::loss, nan,
                                "loss without l1, noise and dropout on the evaluation rows, after the last step"}};
    if (decides(s)) all.push_back({"accuracy", &Outcome::accuracy, nan, "share of correct decisions on the same rows"});
    if (has_held_out(s)) all.push_back({"held_out_loss", &Outcome::held_out_loss, nan, "loss on the held-out rows"});
    if (has_held_out(s) && decides(s))
        all.push_back(
            {"held_out_accuracy", &Outcome::held_out_accuracy, nan, "share of correct decisions on the held-out rows"});
    add_of_neurons(s, all, "shared_use", &Neurons::shared_use, "share of all use that is on shared neurons");
    add_of_neurons(s, all, "polysemantic", &Neurons::polysemantic, "neurons that serve two or more concepts");
    add_of_neurons(s, all, "serving", &Neurons::serving, "neurons that serve a concept");
    add_of_neurons(s, all, "effective_concepts", &Neurons::effective_concepts, "effective concepts of a neuron");
    add_of_neurons(s, all, "neurons_per_concept", &Neurons::neurons_per_concept, "effective neurons of a concept");
    all.push_back({"not_learned", &Outcome::not_learned, -1, "concepts whose loss is over half of the trivial one"});
    add_of_neurons(s, all, "dead", &Neurons::dead, "neurons whose activation is 0 (ReLU) or the same in all rows");
    all.push_back(
        {"largest_gradient", &Outcome::largest_gradient, nan, "largest final gradient over the trained parameters"});
    all.push_back({"steps_taken", &Outcome::steps_taken, std::nullopt, "updates"});
    all.push_back({"diverged", &Outcome::diverged, std::nullopt, "whether weights or loss ended up not finite"});
    all.push_back({"seconds", &Outcome::seconds, std::nullopt, "time spent on the seed"});
    return all;
}

Metric metric_of(const Settings& s, const std::string& name) {
    for (std::size_t l = 1; s.hidden() > 1 && l <= s.hidden(); ++l) {
        const std::string ending = "_" + std::to_string(l);
        if (name.size() <= ending.size() || name.compare(name.size() - ending.size(), ending.size(), ending)) continue;
        return {parse<Metric::Kind>("metrics", name.substr(0, name.size() - ending.size())), l};
    }
    return {parse<Metric::Kind>("metrics", name)};
}

}  // namespace fastpolysem::network
