#include "server/http/head_scanner.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace ursula::http {
namespace {

using Verdict = HeadScanner::Verdict;

constexpr std::string_view kHead =
    "POST /v1/stream/a?b=c HTTP/1.1\r\n"
    "Host: localhost\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "\r\n";
constexpr HeadScanner::Limits kLimits = {1024, 1024};

struct Scanned {
  Verdict verdict = Verdict::kMore;
  std::size_t consumed = 0;
  friend bool operator==(const Scanned&, const Scanned&) = default;
};

Scanned ScanInPieces(std::string_view bytes, std::size_t piece, HeadScanner::Limits limits) {
  HeadScanner scanner(limits);
  Scanned scanned;
  while (scanned.verdict == Verdict::kMore && scanned.consumed < bytes.size()) {
    std::size_t consumed = 0;
    scanned.verdict = scanner.Scan(bytes.substr(scanned.consumed, piece), &consumed);
    scanned.consumed += consumed;
  }
  return scanned;
}

TEST(HeadScannerTest, ABodyIsNotOfTheHead) {
  std::string bytes = std::string(kHead) + "body\r\n";
  EXPECT_EQ(ScanInPieces(bytes, bytes.size(), kLimits), (Scanned{Verdict::kEnd, kHead.size()}));
}

TEST(HeadScannerTest, HowTheBytesAreCutChangesNothing) {
  for (std::size_t at = 0; at < kHead.size(); ++at) {
    for (char wrong : {'\r', '\n', '\0', ' ', '\t', 'x'}) {
      std::string bytes(kHead);
      bytes[at] = wrong;
      Scanned whole = ScanInPieces(bytes, bytes.size(), kLimits);
      for (std::size_t piece : {1, 2, 7}) {
        EXPECT_EQ(ScanInPieces(bytes, piece, kLimits), whole) << at << " " << int{wrong};
      }
    }
  }
}

TEST(HeadScannerTest, BareLineEndsAndNulAreRefusedWhereTheyStand) {
  std::size_t at = kHead.find("text/plain");
  for (char wrong : {'\n', '\0'}) {
    std::string bytes(kHead);
    bytes[at] = wrong;
    EXPECT_EQ(ScanInPieces(bytes, bytes.size(), kLimits), (Scanned{Verdict::kMalformed, at + 1}));
  }
}

TEST(HeadScannerTest, ALimitIsMetAtItsByte) {
  std::size_t line = kHead.find("Host");
  std::size_t headers = kHead.size() - line;
  EXPECT_EQ(ScanInPieces(kHead, kHead.size(), {line, headers}).verdict, Verdict::kEnd);
  for (std::size_t max : {std::size_t{8}, line - 2, line - 1}) {
    EXPECT_EQ(ScanInPieces(kHead, kHead.size(), {max, headers}),
              (Scanned{Verdict::kLineTooLong, max + 1}));
  }
  for (std::size_t max : {std::size_t{0}, std::size_t{8}, headers - 1}) {
    EXPECT_EQ(ScanInPieces(kHead, kHead.size(), {line, max}),
              (Scanned{Verdict::kHeadersTooLarge, line + max + 1}));
  }
}

}  // namespace
}  // namespace ursula::http
