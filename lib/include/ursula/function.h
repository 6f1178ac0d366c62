// ursula/function.h
//
// Function is a move-only callable, the type of every completion in this library. It holds
// move-only captures (std::function can't) and small ones without an allocation.

#pragma once

#include <cstddef>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>

namespace ursula {

template <class Signature>
class Function;

// Not thread-safe: calls and moves of one object need outside order. Calling an empty Function is
// undefined; test it with `operator bool` first.
template <class R, class... Args>
class Function<R(Args...)> {
 public:
  Function() = default;
  Function(std::nullptr_t) {}  // NOLINT: implicit, as std::function.

  template <class F>
  requires(!std::is_same_v<std::decay_t<F>, Function> &&
           std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
      Function(F&& callable) {  // NOLINT: implicit, so that lambdas pass as arguments.
    using Target = std::decay_t<F>;
    if constexpr (kFits<Target>) {
      new (storage_) Target(std::forward<F>(callable));
      operations_ = &kInlineOperations<Target>;
    } else {
      *reinterpret_cast<Target**>(storage_) = new Target(std::forward<F>(callable));
      operations_ = &kHeapOperations<Target>;
    }
  }

  Function(Function&& other) noexcept { Take(other); }
  Function& operator=(Function&& other) noexcept {
    if (this != &other) {
      Reset();
      Take(other);
    }
    return *this;
  }
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;
  ~Function() { Reset(); }

  explicit operator bool() const { return operations_ != nullptr; }

  R operator()(Args... args) { return operations_->call(storage_, std::forward<Args>(args)...); }

 private:
  static constexpr std::size_t kInlineBytes = 48;
  template <class T>
  static constexpr bool kFits =
      sizeof(T) <= kInlineBytes &&
      alignof(T) <= alignof(std::max_align_t) && std::is_nothrow_move_constructible_v<T>;

  struct Operations {
    R (*call)(void*, Args&&...);
    void (*move)(void* to, void* from);  // Leaves `from` destroyed.
    void (*destroy)(void*);
  };

  template <class T>
  static constexpr Operations kInlineOperations = {
      [](void* at, Args&&... args) -> R {
        return std::invoke(*static_cast<T*>(at), std::forward<Args>(args)...);
      },
      [](void* to, void* from) {
        new (to) T(std::move(*static_cast<T*>(from)));
        static_cast<T*>(from)->~T();
      },
      [](void* at) { static_cast<T*>(at)->~T(); },
  };
  template <class T>
  static constexpr Operations kHeapOperations = {
      [](void* at, Args&&... args) -> R {
        return std::invoke(**static_cast<T**>(at), std::forward<Args>(args)...);
      },
      [](void* to, void* from) { *static_cast<T**>(to) = *static_cast<T**>(from); },
      [](void* at) { delete *static_cast<T**>(at); },
  };

  void Take(Function& other) {
    operations_ = other.operations_;
    if (operations_ != nullptr) operations_->move(storage_, other.storage_);
    other.operations_ = nullptr;
  }
  void Reset() {
    if (operations_ != nullptr) operations_->destroy(storage_);
    operations_ = nullptr;
  }

  alignas(std::max_align_t) std::byte storage_[kInlineBytes];
  const Operations* operations_ = nullptr;
};

}  // namespace ursula
