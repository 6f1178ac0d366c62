// ursula/bytes.h
//
// Bytes is an immutable, reference-counted slice of memory. Copying and slicing share; they never
// copy data. Safe to copy and destroy on any thread.

#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace ursula {

class Bytes {
 public:
  Bytes() = default;

  // Keeps `owner` alive for as long as any slice lives. `view` lies within what `owner` keeps.
  Bytes(std::shared_ptr<const void> owner, std::string_view view)
      : owner_(std::move(owner)), view_(view) {}

  static Bytes Copy(std::string_view data) {
    if (data.empty()) return {};
    std::shared_ptr<char[]> owner = std::make_shared_for_overwrite<char[]>(data.size());
    std::memcpy(owner.get(), data.data(), data.size());
    std::string_view view(owner.get(), data.size());
    return Bytes(std::move(owner), view);
  }

  // Takes the string's buffer over, without a copy of its bytes.
  static Bytes Take(std::string&& data) {
    if (data.empty()) return {};
    auto owner = std::make_shared<const std::string>(std::move(data));
    std::string_view view = *owner;
    return Bytes(std::move(owner), view);
  }

  // Bytes of static storage: nothing to keep alive.
  static Bytes Static(std::string_view literal) { return Bytes(nullptr, literal); }

  std::string_view view() const { return view_; }
  const char* data() const { return view_.data(); }
  std::size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }

  // REQUIRES: offset <= size(). `count` is cut at the end.
  Bytes Slice(std::size_t offset, std::size_t count = std::string_view::npos) const {
    return Bytes(owner_, view_.substr(offset, count));
  }

  friend bool operator==(const Bytes& a, const Bytes& b) { return a.view_ == b.view_; }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view view_;
};

}  // namespace ursula
