// The floating-point environment in which results are defined: rounding to nearest, subnormal numbers kept, no traps.
// Other libraries change it for the threads that load or call them (usually to flush-to-zero), and a thread inherits it
// from the one that starts it. Every computation therefore sets it and afterwards restores the previous state.
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
    using State = int;  // standard C++ gives access to the rounding mode only
    static constexpr State standard = FE_TONEAREST;
    static State read() { return std::fegetround(); }
    static void write(State state) { std::fesetround(state); }
#endif

    FloatEnvironment() : found_(read()) { set(standard); }
    ~FloatEnvironment() { set(found_); }
    FloatEnvironment(const FloatEnvironment&) = delete;
    FloatEnvironment& operator=(const FloatEnvironment&) = delete;

    // Restores the caller's environment while the caller's code runs, which may change it.
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
        // Keeps loads and stores from moving across. A computation must also be a call that is not inlined.
        __asm__ __volatile__("" : : : "memory");
        write(state);
        __asm__ __volatile__("" : : : "memory");
    }

    State found_;
};

}  // namespace fastpolysem
