// lib/base/ids.h
//
// Strong integers used by several modules of lib/.

#pragma once

#include <cstdint>
#include <type_traits>

#include "ursula/types.h"

namespace ursula {

enum class Term : uint64_t {};
enum class Index : uint64_t {};  // Of a Raft log entry; the first is 1, 0 is "before the first".

// The plain number of a strong id.
template <class E>
requires std::is_enum_v<E>
constexpr std::underlying_type_t<E> Raw(E id) { return static_cast<std::underlying_type_t<E>>(id); }

constexpr Index operator+(Index index, uint64_t n) { return Index{Raw(index) + n}; }
constexpr Index operator-(Index index, uint64_t n) { return Index{Raw(index) - n}; }
constexpr uint64_t operator-(Index a, Index b) { return Raw(a) - Raw(b); }

}  // namespace ursula
