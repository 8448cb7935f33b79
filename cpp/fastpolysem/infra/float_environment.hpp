// The floating-point environment that results are defined in: rounding to nearest, subnormal numbers as they are, no
// traps. Other libraries change it for the threads that load or call them (flush-to-zero is the usual case), and a
// thread inherits it from the one that starts it; so whoever computes sets it, and gives back what was there.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#elif !defined(__aarch64__)
#include <cfenv>
#endif

namespace fastpolysem {

class FloatEnvironment {
  public:
#if defined(__x86_64__)
    using State = std::uint32_t;               // MXCSR
    static constexpr State standard = 0x1F80;  // all exceptions masked, to nearest, neither FTZ nor DAZ
    static State read() { return _mm_getcsr(); }
    static void write(State state) { _mm_setcsr(state); }
#elif defined(__aarch64__)
    using State = std::uint64_t;          // FPCR
    static constexpr State standard = 0;  // no traps, to nearest, neither FZ nor FZ16 nor default NaNs
    static State read() {
        State state;
        __asm__ __volatile__("mrs %0, fpcr" : "=r"(state));
        return state;
    }
    static void write(State state) { __asm__ __volatile__("msr fpcr, %0" : : "r"(state)); }
#else
    using State = int;  // the rounding mode is all that C++ knows
    static constexpr State standard = FE_TONEAREST;
    static State read() { return std::fegetround(); }
    static void write(State state) { std::fesetround(state); }
#endif

    FloatEnvironment() : found_(read()) { set(standard); }
    ~FloatEnvironment() { set(found_); }
    FloatEnvironment(const FloatEnvironment&) = delete;
    FloatEnvironment& operator=(const FloatEnvironment&) = delete;

    // While code of the caller runs, it has the caller's environment, and may change that.
    class Lifted {
      public:
        explicit Lifted(FloatEnvironment& environment) : environment_(environment) { set(environment.found_); }
        ~Lifted() {
            environment_.found_ = read();
            set(standard);
        }
        Lifted(const Lifted&) = delete;
        Lifted& operator=(const Lifted&) = delete;

      private:
        FloatEnvironment& environment_;
    };

  private:
    static void set(State state) {
        __asm__ __volatile__("" : : : "memory");  // nothing is computed early or late
        write(state);
        __asm__ __volatile__("" : : : "memory");
    }

    State found_;
};

}  // namespace fastpolysem
