// Aligned, zero-initialised storage, and matrices whose rows are padded to whole vectors.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

#include "fastpolysem/infra/simd.hpp"

namespace fastpolysem {

template <class T>
class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(std::size_t size) : size_(size) {
        const std::size_t bytes = (size * sizeof(T) + simd::alignment - 1) / simd::alignment * simd::alignment;
        if (bytes == 0) return;
        data_.reset(static_cast<T*>(std::aligned_alloc(simd::alignment, bytes)));
        if (!data_) throw std::bad_alloc();
        clear();
    }
    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }
    std::size_t size() const { return size_; }
    T& operator[](std::size_t i) { return data_.get()[i]; }
    const T& operator[](std::size_t i) const { return data_.get()[i]; }
    void clear() {
        if (size_) std::memset(static_cast<void*>(data_.get()), 0, size_ * sizeof(T));
    }
    void copy(const T* from, std::size_t count) {
        std::memcpy(static_cast<void*>(data_.get()), from, count * sizeof(T));
    }
    void copy_from(const Buffer& other) {  // must have the same size
        if (size_) std::memcpy(static_cast<void*>(data_.get()), other.data_.get(), size_ * sizeof(T));
    }

  private:
    struct Free {
        void operator()(T* p) const { std::free(p); }
    };
    std::unique_ptr<T, Free> data_;
    std::size_t size_ = 0;
};

// Row-major. Rows and columns of numbers are padded to a multiple of 16 (the widest vector of float); the padding stays
// zero, so loops over whole vectors, or square blocks of them, need no tails. A matrix of vectors (one number for each
// of several seeds) has no padding.
template <class T>
struct Matrix {
    std::ptrdiff_t rows = 0, columns = 0, stride = 0;
    Buffer<T> buffer;

    Matrix() = default;
    Matrix(std::ptrdiff_t r, std::ptrdiff_t c)
        : rows(r), columns(c), stride(padded(c)), buffer(std::size_t(padded(r)) * std::size_t(padded(c))) {}
    static constexpr std::ptrdiff_t padding = std::is_arithmetic_v<T> ? 16 : 1;
    static constexpr std::ptrdiff_t padded(std::ptrdiff_t n) { return (n + padding - 1) / padding * padding; }
    // Memory of such a matrix, in double, so that sizes that overflow an integer are rejected instead of wrapping
    // around.
    static double bytes(std::ptrdiff_t r, std::ptrdiff_t c) {
        return double(padded(r)) * double(padded(c)) * double(sizeof(T));
    }
    T* row(std::ptrdiff_t i) { return buffer.data() + i * stride; }
    const T* row(std::ptrdiff_t i) const { return buffer.data() + i * stride; }
    bool empty() const { return buffer.size() == 0; }
    void clear() { buffer.clear(); }
    void copy_from(const T* packed) {
        for (std::ptrdiff_t i = 0; i < rows; ++i)
            std::memcpy(row(i), packed + i * columns, std::size_t(columns) * sizeof(T));
    }
    void copy_to(T* packed) const {
        for (std::ptrdiff_t i = 0; i < rows; ++i)
            std::memcpy(packed + i * columns, row(i), std::size_t(columns) * sizeof(T));
    }
};

}  // namespace fastpolysem
