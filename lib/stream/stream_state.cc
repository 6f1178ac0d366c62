#include "lib/stream/stream_state.h"

#include <algorithm>
#include <cstddef>

#include "lib/base/check.h"

namespace ursula::stream {
namespace {

constexpr std::size_t kAffinitySizeBytes = 2;

}  // namespace

uint64_t PublicIncarnation(uint64_t history, GroupId group, Incarnation incarnation) {
  if (incarnation == kNoIncarnation) return 0;
  constexpr int kGroupShift = 48;
  // The finalizer of SplitMix64 (Steele et al., OOPSLA 2014): one to one.
  uint64_t x = ((uint64_t{Raw(group)} << kGroupShift) | Raw(incarnation)) ^ history;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  x ^= x >> 31;
  return x == 0 ? 1 : x;
}

int64_t DeadlineOf(const Lifetime& lifetime, int64_t now_ms) {
  if (lifetime.ttl_seconds) {
    constexpr uint64_t kMsPerSecond = 1000;
    uint64_t room = static_cast<uint64_t>(kNever - now_ms);
    if (*lifetime.ttl_seconds >= room / kMsPerSecond) return kNever;
    return now_ms + static_cast<int64_t>(*lifetime.ttl_seconds * kMsPerSecond);
  }
  return lifetime.expires_at_ms.value_or(kNever);
}

NameKey::NameKey(const StreamId& id) {
  const std::size_t path_bytes =
      id.name.size() + (id.affinity.empty() ? 0 : id.affinity.size() + 1);
  bytes_.resize(id.bucket.size() + 1 + path_bytes + 1 + kAffinitySizeBytes);
  auto at = std::copy(id.bucket.begin(), id.bucket.end(), bytes_.begin());
  *at++ = '\0';
  if (!id.affinity.empty()) {
    at = std::copy(id.affinity.begin(), id.affinity.end(), at);
    *at++ = '/';
  }
  at = std::copy(id.name.begin(), id.name.end(), at);
  *at++ = '\0';
  *at++ = static_cast<char>(id.affinity.size() >> 8);
  *at++ = static_cast<char>(id.affinity.size() & 0xff);
  URSULA_CHECK(at == bytes_.end());
}

std::string_view BucketOfKey(std::string_view key) { return key.substr(0, key.find('\0')); }

std::string_view PathOfKey(std::string_view key) {
  std::size_t start = key.find('\0') + 1;
  return key.substr(start, key.size() - kAffinitySizeBytes - 1 - start);
}

StreamId IdOfKey(std::string_view key) {
  URSULA_CHECK(IsKey(key));
  auto byte = [&](std::size_t from_end) {
    return static_cast<std::size_t>(static_cast<unsigned char>(key[key.size() - from_end]));
  };
  std::size_t affinity = (byte(2) << 8) | byte(1);
  std::string_view path = PathOfKey(key);
  StreamId id;
  id.bucket = BucketOfKey(key);
  id.affinity = path.substr(0, affinity);
  id.name = path.substr(affinity == 0 ? 0 : affinity + 1);
  return id;
}

bool IsKey(std::string_view key) {
  std::size_t first = key.find('\0');
  if (first == std::string_view::npos || key.size() < first + 2 + kAffinitySizeBytes) return false;
  std::size_t second = key.find('\0', first + 1);
  if (second != key.size() - kAffinitySizeBytes - 1) return false;
  std::size_t affinity =
      (static_cast<std::size_t>(static_cast<unsigned char>(key[second + 1])) << 8) |
      static_cast<unsigned char>(key[second + 2]);
  std::string_view path = key.substr(first + 1, second - first - 1);
  return affinity == 0 || (path.size() > affinity && path[affinity] == '/');
}

}  // namespace ursula::stream
