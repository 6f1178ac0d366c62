// lib/io/guarded.h
//
// Guarded hands the newest value of something from one thread to others: figures and states that
// are published now and then. Not for the path of requests.

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

 private:
  mutable std::mutex mutex_;
  T value_{};
};

}  // namespace ursula::io
