// Properties of a settings class that need more than pybind11's own conversions.
#pragma once

#include "arrays.hpp"
#include "fastpolysem/infra/names.hpp"
#include "fastpolysem/optimizers/schedule.hpp"

namespace fastpolysem::bindings {

// A property whose values are an enumeration's names; member(settings) is the enumerator.
template <class Settings, class Member>
void add_choice(py::class_<Settings>& c, const char* name, Member member) {
    c.def_property(
        name, [member](const Settings& s) { return name_of(member(s)); },
        [name, member](Settings& s, const std::string& value) {
            using E = std::decay_t<decltype(member(s))>;
            member(s) = parse<E>(name, value);
        });
}

template <class Settings>
void add_schedule(py::class_<Settings>& c, const char* name, Schedule Settings::* member) {
    c.def_property(
        name, [member](const Settings& s) { return (s.*member).points(); },
        [member](Settings& s, const Schedule::Points& points) { s.*member = Schedule(points); });
}

}  // namespace fastpolysem::bindings
