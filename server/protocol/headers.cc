#include "server/protocol/headers.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "lib/base/byte_scan.h"
#include "lib/base/check.h"
#include "lib/base/strings.h"

namespace ursula::protocol {
namespace {

constexpr std::size_t kCommonBytes = 256;  // Of a request or of a response.
constexpr std::size_t kBytesKept = 512;
constexpr std::string_view kColon = ": ";
constexpr std::string_view kLineEnd = "\r\n";

bool EndsLine(char c) { return c == '\r' || c == '\n' || c == '\0'; }

// How many bytes were appended.
uint32_t AppendClean(std::string* out, std::string_view text) {
  const std::size_t before = out->size();
  std::copy_if(text.begin(), text.end(), std::back_inserter(*out),
               [](char c) { return !EndsLine(c); });
  return static_cast<uint32_t>(out->size() - before);
}

// Whether it may: a tab doesn't.
bool MayEndLine(std::string_view text) {
  return FindByteBelow(text, '\r' + 1) != std::string_view::npos;
}

}  // namespace

Headers::Headers(std::initializer_list<Header> list) {
  for (const Header& header : list) Add(header.name, header.value);
}

void Headers::Add(std::string_view name, std::string_view value) {
  const std::size_t most = text_.size() + name.size() + value.size() + 4;
  URSULA_CHECK(most <= std::numeric_limits<uint32_t>::max());
  if (text_.capacity() < kCommonBytes) text_.reserve(kCommonBytes);
  Place place;
  place.begin = static_cast<uint32_t>(text_.size());
  place.name_bytes = static_cast<uint32_t>(name.size());
  place.value_bytes = static_cast<uint32_t>(value.size());
  text_.append(name).append(kColon).append(value);
  if (MayEndLine(std::string_view(text_).substr(place.begin))) {
    text_.resize(place.begin);
    place.name_bytes = AppendClean(&text_, name);
    text_ += kColon;
    place.value_bytes = AppendClean(&text_, value);
  }
  text_ += kLineEnd;
  place.key = KeyOf(std::string_view(text_).substr(place.begin, place.name_bytes));
  marks_ |= MarkOf(place.key);
  if (count_ < kCommonCount) {
    first_[count_] = place;
  } else {
    more_.push_back(place);
  }
  ++count_;
}

void Headers::Set(std::string_view name, std::string_view value) {
  Remove(name);
  Add(name, value);
}

void Headers::Remove(std::string_view name) {
  if (Count(name) == 0) return;
  Headers kept;
  const uint32_t key = KeyOf(name);
  for (std::size_t i = 0; i < count_; ++i) {
    Header header = at(i);
    if (!IsNamed(PlaceOf(i), key, name)) kept.Add(header.name, header.value);
  }
  *this = std::move(kept);
}

bool Headers::IsNamed(const Place& place, uint32_t key, std::string_view name) const {
  return place.key == key &&
         absl::EqualsIgnoreCase(A(std::string_view(text_).substr(place.begin, place.name_bytes)),
                                A(name));
}

std::optional<std::string_view> Headers::FindLine(std::string_view name) const {
  const uint32_t key = KeyOf(name);
  for (std::size_t i = 0; i < count_; ++i) {
    if (IsNamed(PlaceOf(i), key, name)) return at(i).value;
  }
  return std::nullopt;
}

std::size_t Headers::CountLines(std::string_view name) const {
  const uint32_t key = KeyOf(name);
  std::size_t count = 0;
  for (std::size_t i = 0; i < count_; ++i) count += IsNamed(PlaceOf(i), key, name) ? 1 : 0;
  return count;
}

std::string Headers::Joined(std::string_view name) const {
  std::string joined;
  if (!MayHave(name)) return joined;
  const uint32_t key = KeyOf(name);
  for (std::size_t i = 0; i < count_; ++i) {
    if (!IsNamed(PlaceOf(i), key, name)) continue;
    if (!joined.empty()) joined += ", ";
    joined += at(i).value;
  }
  return joined;
}

void Headers::Clear() {
  if (text_.capacity() > kBytesKept) text_ = {};
  text_.clear();
  count_ = 0;
  marks_ = 0;
  if (!more_.empty()) more_ = {};
}

Header Headers::at(std::size_t index) const {
  URSULA_CHECK(index < count_);
  const Place& place = PlaceOf(index);
  std::string_view text = text_;
  return {text.substr(place.begin, place.name_bytes),
          text.substr(place.begin + place.name_bytes + kColon.size(), place.value_bytes)};
}

}  // namespace ursula::protocol
