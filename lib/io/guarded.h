// lib/io/guarded.h
//
// Guarded lets threads share a value: figures and states that are published now and then, and what
// a core looks up once for many requests. Not for the path of each request.

#pragma once

#include <mutex>
#include <utility>

namespace ursula::io {

template <class T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}

  void Set(T value) {
    std::lock_guard<std::mutex> lock(mutex_);
    value_ = std::move(value);
  }
  T Get() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return value_;
  }
  // Runs `use(value)` alone. Brief, and never waiting for anything.
  template <class Use>
  auto With(Use&& use) {
    std::lock_guard<std::mutex> lock(mutex_);
    return use(value_);
  }
  // The same, but never waits: false, and nothing was run, while another uses the value.
  template <class Use>
  bool TryWith(Use&& use) {
    std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    use(value_);
    return true;
  }

 private:
  mutable std::mutex mutex_;
  T value_{};
};

}  // namespace ursula::io
