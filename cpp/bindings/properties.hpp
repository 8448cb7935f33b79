// Properties of a settings class that need more than pybind11's own conversions.
#pragma once

#include <stdexcept>
#include <variant>

#include "arrays.hpp"
#include "fastpolysem/infra/names.hpp"
#include "fastpolysem/optimizers/step_constants.hpp"

namespace fastpolysem::bindings {

// A property whose values are the names of an enumeration; member(settings) is the enumerator.
template <class Settings, class Member>
void add_choice(py::class_<Settings>& c, const char* name, Member member) {
    c.def_property(
        name, [member](const Settings& s) { return name_of(member(s)); },
        [name, member](Settings& s, const std::string& value) {
            using E = std::decay_t<decltype(member(s))>;
            member(s) = parse<E>(name, value);
        });
}

// ... and one whose values are lists of names.
template <class Settings, class Owner, class E>
void add_choices(py::class_<Settings>& c, const char* name, std::vector<E> Owner::* member) {
    c.def_property(
        name,
        [member](const Settings& s) {
            std::vector<std::string> names;
            for (const E value : s.*member) names.emplace_back(name_of(value));
            return names;
        },
        [name, member](Settings& s, const std::vector<std::string>& names) {
            (s.*member).clear();
            for (const std::string& one : names) (s.*member).push_back(parse<E>(name, one));
        });
}

template <class Settings>
void add_schedule(py::class_<Settings>& c, const char* name, Schedule Settings::* member) {
    c.def_property(
        name, [member](const Settings& s) { return (s.*member).points(); },
        [member](Settings& s, const Schedule::Points& points) { s.*member = Schedule(points); });
}

// Settings common to all optimisers.
template <class Settings>
void add_optimizer(py::class_<Settings>& c) {
    c.def_readwrite("learning_rate", &Settings::learning_rate)
        .def_readwrite("weight_decay", &Settings::weight_decay)
        .def_readwrite("momentum", &Settings::momentum)
        .def_readwrite("beta1", &Settings::beta1)
        .def_readwrite("beta2", &Settings::beta2)
        .def_readwrite("epsilon", &Settings::epsilon)
        .def_readwrite("steps", &Settings::steps);
    add_choice(c, "optimizer", [](auto& s) -> auto& { return s.optimizer; });
    add_choice(c, "l1_update", [](auto& s) -> auto& { return s.l1_update; });
    using Rates = std::variant<std::string, Schedule::Points>;
    c.def_property(
        "learning_rate_schedule",
        [](const Settings& s) { return s.cosine ? Rates("cosine") : Rates(s.learning_rate_schedule.points()); },
        [](Settings& s, const Rates& rates) {
            const auto* name = std::get_if<std::string>(&rates);
            if (name && *name != "cosine")
                throw std::invalid_argument("learning_rate_schedule must be 'cosine' or points, got '" + *name + "'");
            s.cosine = name != nullptr;
            s.learning_rate_schedule = name ? Schedule() : Schedule(std::get<Schedule::Points>(rates));
        });
}

}  // namespace fastpolysem::bindings
