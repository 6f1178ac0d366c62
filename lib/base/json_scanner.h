// lib/base/json_scanner.h
//
// The grammar of JSON (RFC 8259), walked over without building anything.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ursula/engine.h"

namespace ursula {

// For those who have split messages by a JsonScanner, from text that is UTF-8, and replaced raw
// line ends.
struct JsonSplitter {
  static JsonChecked Checked() {
    JsonChecked checked;
    checked.checked_ = true;
    return checked;
  }
};

// Walks the grammar and keeps nothing but a position and the open containers: memory is bounded by
// depth_max whatever the body. (A parser's DOM costs ten times the body, and simdjson's refuses
// numbers beyond 64 bits, which are valid JSON.)
class JsonScanner {
 public:
  JsonScanner(std::string_view text, std::size_t depth_max) : text_(text), depth_max_(depth_max) {}

  std::size_t at() const { return at_; }
  bool AtEnd() const { return at_ == text_.size(); }
  bool too_deep() const { return too_deep_; }

  void SkipSpace() {
    for (; at_ < text_.size(); ++at_) {
      char c = text_[at_];
      if (c == '\n' || c == '\r') {
        saw_line_end_ = true;
      } else if (c != ' ' && c != '\t') {
        return;
      }
    }
  }

  bool Take(char c) {
    if (AtEnd() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  // Past one value, which starts here. False: at() is where it goes wrong.
  bool SkipValue() {
    open_.clear();
    saw_line_end_ = false;
    for (;;) {
      Step step = EnterValue();
      while (step == Step::kValueDone && !open_.empty()) step = LeaveValue();
      if (step == Step::kValueDone) return true;
      if (step == Step::kWrong) return false;
    }
  }

  // A CR or LF stood between the tokens of the value skipped last, or behind it.
  bool saw_line_end() const { return saw_line_end_; }

 private:
  static bool IsDigit(char c) { return c >= '0' && c <= '9'; }
  static bool IsHex(char c) {
    return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  }

  enum class Step : uint8_t { kValueNext, kValueDone, kWrong };

  // At the first byte of a value: past a scalar or an empty container, or into a container up to
  // its first value.
  Step EnterValue() {
    if (AtEnd()) return Step::kWrong;
    char c = text_[at_];
    if (c != '{' && c != '[') return SkipScalar() ? Step::kValueDone : Step::kWrong;
    if (open_.size() >= depth_max_) {
      too_deep_ = true;
      return Step::kWrong;
    }
    ++at_;
    SkipSpace();
    if (Take(c == '{' ? '}' : ']')) return Step::kValueDone;
    open_.push_back(c);
    return c == '{' ? SkipKey() : Step::kValueNext;
  }

  // Behind a value inside a container: on to the next value, or out of the container.
  Step LeaveValue() {
    SkipSpace();
    bool object = open_.back() == '{';
    if (Take(',')) {
      SkipSpace();
      return object ? SkipKey() : Step::kValueNext;
    }
    if (!Take(object ? '}' : ']')) return Step::kWrong;
    open_.pop_back();
    return Step::kValueDone;
  }

  Step SkipKey() {
    if (!SkipString()) return Step::kWrong;
    SkipSpace();
    if (!Take(':')) return Step::kWrong;
    SkipSpace();
    return Step::kValueNext;
  }

  bool SkipScalar() {
    switch (text_[at_]) {
      case '"':
        return SkipString();
      case 't':
        return SkipWord("true");
      case 'f':
        return SkipWord("false");
      case 'n':
        return SkipWord("null");
      default:
        return SkipNumber();
    }
  }

  bool SkipWord(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  bool SkipString() {
    if (!Take('"')) return false;
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (c == '"') {
        ++at_;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) return false;
      ++at_;
      if (c == '\\' && !SkipEscape()) return false;
    }
    return false;
  }

  bool SkipEscape() {
    if (AtEnd()) return false;
    char c = text_[at_];
    if (c != 'u') {
      if (std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos) return false;
      ++at_;
      return true;
    }
    ++at_;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (AtEnd() || !IsHex(text_[at_])) return false;
    }
    return true;
  }

  bool SkipDigits() {
    std::size_t first = at_;
    while (at_ < text_.size() && IsDigit(text_[at_])) ++at_;
    return at_ > first;
  }

  bool SkipNumber() {
    Take('-');
    if (!Take('0') && !SkipDigits()) return false;
    if (Take('.') && !SkipDigits()) return false;
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      return SkipDigits();
    }
    return true;
  }

  std::string_view text_;
  std::size_t depth_max_;
  std::size_t at_ = 0;
  std::string open_;  // '{' and '[' of the containers around here.
  bool saw_line_end_ = false;
  bool too_deep_ = false;
};

}  // namespace ursula
