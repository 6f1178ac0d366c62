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

// What Raft calls a replica, and every replica of the same data directory: its node, and how many
// directories that node had in this cluster before. A directory that was lost never comes back as
// the voter that it was (dissertation 4.2, 11.7.2). A node that has founded has the id of its node.
enum class ReplicaId : uint64_t {};
inline constexpr NodeId kNoNode{0};  // Never a node's.

// The plain number of a strong id.
template <class E>
requires std::is_enum_v<E>
constexpr std::underlying_type_t<E> Raw(E id) { return static_cast<std::underlying_type_t<E>>(id); }

inline constexpr int kNodeBits = 16;
inline constexpr uint64_t kNodeMax = (uint64_t{1} << kNodeBits) - 1;
inline constexpr uint64_t kLivesMax = UINT64_MAX >> kNodeBits;
constexpr NodeId NodeOf(ReplicaId replica) { return NodeId{Raw(replica) & kNodeMax}; }
constexpr uint64_t LivesBefore(ReplicaId replica) { return Raw(replica) >> kNodeBits; }
constexpr ReplicaId ReplicaOf(NodeId node, uint64_t lives_before) {
  return ReplicaId{lives_before << kNodeBits | Raw(node)};
}

constexpr Index operator+(Index index, uint64_t n) { return Index{Raw(index) + n}; }
constexpr Index operator-(Index index, uint64_t n) { return Index{Raw(index) - n}; }
constexpr uint64_t operator-(Index a, Index b) { return Raw(a) - Raw(b); }

}  // namespace ursula
