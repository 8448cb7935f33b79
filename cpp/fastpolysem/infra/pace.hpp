// How often to do something of unknown duration: often, but for at most a tenth of the time.
#pragma once

#include <algorithm>

namespace fastpolysem {

class Pace {
  public:
    // At most once every `least` seconds, but at least once every `most` seconds, however long it takes.
    Pace(double least, double most, double now) : least_(least), most_(most), next_(now + least) {}

    bool due(double now) const { return now >= next_; }
    void ran(double begin, double end) { next_ = end + std::clamp(9 * (end - begin), least_, most_); }

  private:
    double least_, most_, next_;
};

}  // namespace fastpolysem
