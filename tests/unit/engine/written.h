// tests/unit/engine/written.h
//
// What was appended to a stream, in order, and whether that was acknowledged.

#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace ursula::engine {

class Written {
 public:
  // `text`: like no other, and no other's beginning.
  void Add(std::string text, bool acknowledged) {
    all_.emplace_back(std::move(text), acknowledged);
  }

  // All that was acknowledged, in order, and nothing that wasn't written.
  void ExpectIn(const std::string& found) const {
    std::size_t at = 0;
    for (const auto& [text, acknowledged] : all_) {
      const bool there = found.compare(at, text.size(), text) == 0;
      ASSERT_TRUE(there || !acknowledged) << text << " isn't at " << at << " of " << found;
      if (there) at += text.size();
    }
    EXPECT_EQ(at, found.size()) << found;
  }

 private:
  std::vector<std::pair<std::string, bool>> all_;
};

}  // namespace ursula::engine
