// tests/bench/json_writer.h

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ursula::bench {

// Appends one JSON value. REQUIRES: calls nest as the grammar wants.
class JsonWriter {
 public:
  JsonWriter& Begin(char bracket);  // { or [
  JsonWriter& End(char bracket);    // } or ]
  JsonWriter& Key(std::string_view key);
  JsonWriter& String(std::string_view text);
  JsonWriter& Number(double value);  // Not finite: null.
  JsonWriter& Integer(uint64_t value);

  const std::string& text() const { return text_; }

 private:
  void Separate();
  std::string text_;
  bool first_ = true;
  bool after_key_ = false;
};

}  // namespace ursula::bench
