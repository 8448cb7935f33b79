// A family's kernels: which exist, which can handle given settings, which is the fastest, and training with one. They
// differ in time and memory only; all give the same bits.
#pragma once

#include <atomic>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "fastpolysem/training/driver.hpp"
#include "fastpolysem/training/pool.hpp"

namespace fastpolysem::training {

// Returns false if it was stopped before the end. Seeds are assigned dynamically, so a slow seed does not delay the
// other threads.
template <class Kernel>
bool train_with(const TrainingTask<typename Kernel::Model>& task, StopSource& source) {
    constexpr std::int64_t width = Driver<Kernel>::width;
    if (task.count == 0) return true;
    std::atomic<std::int64_t> next{0};
    const std::int64_t groups = (task.count + width - 1) / width;
    return run_on_threads(int(std::min<std::int64_t>(task.threads, groups)), source, [&](StopToken& stop) {
        Driver<Kernel> driver(task, stop);
        for (std::int64_t i; !stop.stopped() && (i = next.fetch_add(width)) < task.count;) {
            const std::int64_t count = std::min(width, task.count - i);
            driver.run(i, count);
            if (!source.stop) source.done += count;
        }
    });
}

template <template <class> class Model>
struct KernelEntry {
    using Settings = typename Model<float>::Settings;

    const char* name;
    std::string (*refusal)(const Settings&);             // why it cannot handle them; empty if it can
    bool (*suits)(const Settings&, std::int64_t seeds);  // whether it is faster than all kernels listed after it
    double (*bytes)(const Settings&, bool in_double);    // memory of a thread
    std::int64_t (*width)(bool in_double);               // seeds that a thread trains at once
    bool (*train_float)(const TrainingTask<Model<float>>&, StopSource&);
    bool (*train_double)(const TrainingTask<Model<double>>&, StopSource&);

    bool train(const TrainingTask<Model<float>>& task, StopSource& source) const { return train_float(task, source); }
    bool train(const TrainingTask<Model<double>>& task, StopSource& source) const { return train_double(task, source); }
};

// To be called in one source file per kernel: it instantiates the whole kernel.
template <template <class> class Model, template <class> class Kernel>
KernelEntry<Model> kernel_entry() {
    return {Kernel<float>::name,
            &Kernel<float>::refusal,
            &Kernel<float>::suits,
            [](const auto& s, bool in_double) {
                return in_double ? Driver<Kernel<double>>::bytes(s) : Driver<Kernel<float>>::bytes(s);
            },
            [](bool in_double) {
                return std::int64_t(in_double ? Driver<Kernel<double>>::width : Driver<Kernel<float>>::width);
            },
            &train_with<Kernel<float>>,
            &train_with<Kernel<double>>};
}

// In the order in which they are tried; the last one handles all settings.
template <template <class> class Model>
class KernelTable {
    using Entry = KernelEntry<Model>;
    using Settings = typename Entry::Settings;

  public:
    explicit KernelTable(std::vector<Entry> entries) : entries_(std::move(entries)) {}

    // Empty if the kernel can handle the settings; "auto" always can.
    std::string refusal(const Settings& s, const std::string& name) const {
        return name == "auto" ? "" : named(name).refusal(s);
    }
    // The kernel to use for this many seeds.
    const Entry& choose(const Settings& s, const std::string& name, std::int64_t seeds) const {
        if (name != "auto") return named(name);
        for (const Entry& kernel : entries_)
            if (kernel.suits(s, seeds) && kernel.refusal(s).empty()) return kernel;
        return entries_.back();
    }

  private:
    const Entry& named(const std::string& name) const {
        std::string allowed = "'auto'";
        for (const Entry& kernel : entries_) {
            if (name == kernel.name) return kernel;
            allowed += ", '" + std::string(kernel.name) + "'";
        }
        throw std::invalid_argument("kernel must be one of " + allowed + ", got '" + name + "'");
    }

    std::vector<Entry> entries_;
};

}  // namespace fastpolysem::training
