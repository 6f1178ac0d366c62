#include "server/http/head_scanner.h"

#include "lib/base/byte_scan.h"
#include "server/http/characters.h"

namespace ursula::http {
namespace {

constexpr std::size_t kBlankBytesMax = 16;
constexpr std::string_view kVersionForm = "HTTP/#.#";  // '#': a digit.

}  // namespace

void HeadScanner::Reset() { *this = HeadScanner(limits_); }

HeadScanner::Verdict HeadScanner::Scan(std::string_view bytes, std::size_t* consumed) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    i += SkipPlain(bytes.substr(i));
    if (i == bytes.size()) break;
    Verdict verdict = Step(bytes[i]);
    if (verdict == Verdict::kMore) continue;
    *consumed = i + 1;
    return verdict;
  }
  *consumed = bytes.size();
  return Verdict::kMore;
}

// Most of a head: what stands within the target or a header line, up to the next byte that ends it
// or may not stand there. Takes what Step would take byte by byte; 0: let Step decide.
std::size_t HeadScanner::SkipPlain(std::string_view bytes) {
  const bool in_target = !in_headers_ && word_ == 1;
  if (after_cr_ || line_empty_ || !(in_headers_ || in_target)) return 0;
  std::size_t room =
      in_headers_ ? limits_.header_bytes_max - header_bytes_ : limits_.line_bytes_max - line_bytes_;
  std::string_view plain = bytes.substr(0, room);
  plain = plain.substr(0, FindByteBelow(plain, in_target ? ' ' + 1 : '\r' + 1));
  if (in_target) {
    line_bytes_ += plain.size();
    word_bytes_ += plain.size();
  } else {
    header_bytes_ += plain.size();
  }
  return plain.size();
}

HeadScanner::Verdict HeadScanner::Step(char c) {
  if (!started_ && (c == '\r' || c == '\n')) {
    if (++blank_bytes_ > kBlankBytesMax) return Verdict::kMalformed;
    if (after_cr_ != (c == '\n')) return Verdict::kMalformed;
    after_cr_ = c == '\r';
    return Verdict::kMore;
  }
  if (after_cr_ != (c == '\n') || c == '\0') return Verdict::kMalformed;
  started_ = true;
  if (in_headers_) {
    if (++header_bytes_ > limits_.header_bytes_max) return Verdict::kHeadersTooLarge;
  } else {
    if (++line_bytes_ > limits_.line_bytes_max) return Verdict::kLineTooLong;
    if (!FitsRequestLine(c)) return Verdict::kMalformedLine;
  }
  if (c == '\n') return EndOfLine();
  // Folded header lines, long deprecated: some join them, some see a header of no name.
  if (in_headers_ && line_empty_ && (c == ' ' || c == '\t')) return Verdict::kMalformed;
  after_cr_ = c == '\r';
  if (!after_cr_) line_empty_ = false;
  return Verdict::kMore;
}

bool HeadScanner::FitsRequestLine(char c) {
  if (c == '\n') return true;
  if (c == '\r') return word_ == 2 && word_bytes_ == kVersionForm.size();
  if (c == ' ') {
    if (word_bytes_ == 0 || word_ == 2) return false;
    ++word_;
    word_bytes_ = 0;
    return true;
  }
  std::size_t at = word_bytes_++;
  if (word_ < 2) return true;
  if (at >= kVersionForm.size()) return false;
  return kVersionForm[at] == '#' ? IsDigit(c) : kVersionForm[at] == c;
}

HeadScanner::Verdict HeadScanner::EndOfLine() {
  after_cr_ = false;
  if (in_headers_ && line_empty_) return Verdict::kEnd;
  in_headers_ = true;
  line_empty_ = true;
  return Verdict::kMore;
}

}  // namespace ursula::http
